package kube_test

import (
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/weir-dev/weir/test/env"
	"github.com/weir-dev/weir/test/env/kube"
)

func TestMain(m *testing.M) { env.Main(m) }

func TestKubectlSeesWeirsKinds(t *testing.T) {
	t.Parallel()
	cluster := kube.Shared(t)
	output, err := cluster.Kubectl(t.Context(), "api-resources", "--api-group=weir.dev", "--output=name")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(output, "topics.weir.dev") {
		t.Errorf("got %q, want topics.weir.dev in it", output)
	}
	if _, err := cluster.Kubectl(t.Context(), "get", "nonsense"); err == nil || !strings.Contains(err.Error(), `doesn't have a resource type "nonsense"`) {
		t.Errorf("got %v, want what kubectl said", err)
	}
}

func TestPrometheusRulesAreServed(t *testing.T) {
	t.Parallel()
	cluster := kube.Shared(t)
	for range 2 { // installing again is no error
		if err := cluster.InstallPrometheusRules(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := cluster.Kubectl(t.Context(), "get", "prometheusrules", "--all-namespaces"); err != nil {
		t.Error(err)
	}
}

func TestServiceAccountTokenMeetsRBAC(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	cluster := kube.Shared(t)
	namespace := cluster.Namespace(t)
	admin := kubernetes.NewForConfigOrDie(cluster.Config)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "worker"}}
	if _, err := admin.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	token, err := admin.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account.Name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(cluster.Config)
	config.BearerToken = token.Status.Token
	worker := kubernetes.NewForConfigOrDie(config)
	review, err := worker.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "system:serviceaccount:" + namespace + ":worker"; review.Status.UserInfo.Username != want {
		t.Errorf("got user %s, want %s", review.Status.UserInfo.Username, want)
	}
	if _, err := worker.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("listing Secrets without a role: got %v, want Forbidden", err)
	}
}
