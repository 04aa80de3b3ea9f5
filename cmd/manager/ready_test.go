package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weir-dev/weir/internal/controller"
	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

// A manager that may not see Weir's resources is alive and not ready, so that
// a rollout stops at it.
func TestReadyOnceTheCachesAreThere(t *testing.T) {
	t.Parallel()
	control := kube.Shared(t)
	namespace := control.Namespace(t)
	live, err := client.New(control.Config, client.Options{Scheme: controller.NewScheme()})
	if err != nil {
		t.Fatal(err)
	}
	m := start(t, kubeconfig(t, control.Config, token(t, live, namespace, "weir-manager")), namespace)
	answers := func(path string, want int) {
		t.Helper()
		env.Await(t, func() string {
			if status, err := get(t.Context(), "http://"+m.health+path, ""); err != nil || status != want {
				return fmt.Sprintf("%s answers %d, %v; want %d", path, status, err, want)
			}
			return ""
		})
	}
	answers("/healthz", http.StatusOK)
	answers("/readyz", http.StatusInternalServerError)

	admin := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace + "-admin"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "weir-manager"}},
	}
	if err := live.Create(t.Context(), admin); err != nil {
		t.Fatal(err)
	}
	answers("/readyz", http.StatusOK)
}

// kubeconfig writes a file with the access that a token gives.
func kubeconfig(t *testing.T, config *rest.Config, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	access := clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"test": {Token: token}},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: "test"}},
		CurrentContext: "test",
	}
	if err := clientcmd.WriteToFile(access, file); err != nil {
		t.Fatal(err)
	}
	return file
}
