package kubelet

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// mount writes the pod's volumes, or brings them up to date, and returns the
// directory of each mount path of its container.
func (p *pod) mount(ctx context.Context) (map[string]string, error) {
	dirs := map[string]string{}
	for _, volume := range p.object.Spec.Volumes {
		dir := filepath.Join(p.dir, "volumes", volume.Name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		dirs[volume.Name] = dir
		if volume.EmptyDir != nil {
			continue
		}
		files, err := p.volumeFiles(ctx, volume)
		if err == nil {
			err = writeAtomically(dir, files)
		}
		if err != nil {
			return nil, fmt.Errorf("MountVolume.SetUp failed for volume %q : %w", volume.Name, err)
		}
	}
	mounts := map[string]string{}
	for _, mount := range p.object.Spec.Containers[0].VolumeMounts {
		if mount.SubPath != "" || mount.SubPathExpr != "" {
			return nil, fmt.Errorf("volume mount %s: the local kubelet does not know subPath", mount.MountPath)
		}
		mounts[strings.TrimSuffix(mount.MountPath, "/")] = dirs[mount.Name]
	}
	return mounts, nil
}

// volumeFiles are the files of a volume by their path in it.
func (p *pod) volumeFiles(ctx context.Context, volume corev1.Volume) (map[string][]byte, error) {
	var sources []corev1.VolumeProjection
	switch {
	case volume.Projected != nil:
		sources = volume.Projected.Sources
	case volume.ConfigMap != nil:
		sources = []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: volume.ConfigMap.LocalObjectReference, Items: volume.ConfigMap.Items, Optional: volume.ConfigMap.Optional,
		}}}
	case volume.Secret != nil:
		sources = []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: volume.Secret.SecretName}, Items: volume.Secret.Items, Optional: volume.Secret.Optional,
		}}}
	case volume.DownwardAPI != nil:
		sources = []corev1.VolumeProjection{{DownwardAPI: &corev1.DownwardAPIProjection{Items: volume.DownwardAPI.Items}}}
	default:
		return nil, fmt.Errorf("the local kubelet knows configMap, secret, downwardAPI, projected and emptyDir")
	}
	files := map[string][]byte{}
	for _, source := range sources {
		part, err := p.projectedFiles(ctx, source)
		if err != nil {
			return nil, err
		}
		maps.Copy(files, part)
	}
	return files, nil
}

func (p *pod) projectedFiles(ctx context.Context, source corev1.VolumeProjection) (map[string][]byte, error) {
	switch {
	case source.ConfigMap != nil:
		object := &corev1.ConfigMap{}
		if err := p.get(ctx, object, source.ConfigMap.Name); err != nil {
			return nil, absent(err, source.ConfigMap.Optional, "configmap", source.ConfigMap.Name)
		}
		data := maps.Clone(object.BinaryData)
		if data == nil {
			data = map[string][]byte{}
		}
		for key, value := range object.Data {
			data[key] = []byte(value)
		}
		return pick(data, source.ConfigMap.Items, source.ConfigMap.Optional, "configmap "+object.Name)
	case source.Secret != nil:
		object := &corev1.Secret{}
		if err := p.get(ctx, object, source.Secret.Name); err != nil {
			return nil, absent(err, source.Secret.Optional, "secret", source.Secret.Name)
		}
		return pick(object.Data, source.Secret.Items, source.Secret.Optional, "secret "+object.Name)
	case source.DownwardAPI != nil:
		files := map[string][]byte{}
		for _, item := range source.DownwardAPI.Items {
			if item.FieldRef == nil {
				return nil, fmt.Errorf("downwardAPI %s: the local kubelet knows fieldRef only", item.Path)
			}
			value, err := field(p.object, item.FieldRef.FieldPath)
			if err != nil {
				return nil, err
			}
			files[item.Path] = []byte(value)
		}
		return files, nil
	case source.ServiceAccountToken != nil:
		token, err := p.accountToken(ctx, source.ServiceAccountToken.Audience)
		return map[string][]byte{source.ServiceAccountToken.Path: []byte(token)}, err
	default:
		return nil, fmt.Errorf("the local kubelet projects configMap, secret, downwardAPI and serviceAccountToken")
	}
}

func (p *pod) get(ctx context.Context, object client.Object, name string) error {
	return p.kubelet.client.Get(ctx, client.ObjectKey{Namespace: p.name.Namespace, Name: name}, object)
}

// absent is the error of reading an object, or nil where it may be missing.
func absent(err error, optional *bool, kind, name string) error {
	if apierrors.IsNotFound(err) {
		if ptr.Deref(optional, false) {
			return nil
		}
		return fmt.Errorf("%s %q not found", kind, name)
	}
	return err
}

// pick is data under the paths that items give, or all of it.
func pick(data map[string][]byte, items []corev1.KeyToPath, optional *bool, of string) (map[string][]byte, error) {
	if len(items) == 0 {
		return data, nil
	}
	files := map[string][]byte{}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok {
			if ptr.Deref(optional, false) {
				continue
			}
			return nil, fmt.Errorf("references non-existent key %q of %s", item.Key, of)
		}
		files[item.Path] = value
	}
	return files, nil
}

// field is the value of a fieldRef.
func field(object *corev1.Pod, path string) (string, error) {
	switch path {
	case "metadata.name":
		return object.Name, nil
	case "metadata.namespace":
		return object.Namespace, nil
	case "metadata.uid":
		return string(object.UID), nil
	case "spec.nodeName":
		return object.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return object.Spec.ServiceAccountName, nil
	case "status.podIP", "status.hostIP":
		return podIP, nil
	default:
		return "", fmt.Errorf("the local kubelet does not know the field %s", path)
	}
}

// writeAtomically makes dir hold files as a kubelet does, so that a reader sees
// all of them old or all of them new: dir/<first element> links to
// dir/..data/<first element>, and dir/..data to a directory that is written
// anew whenever the files change.
func writeAtomically(dir string, files map[string][]byte) error {
	data := filepath.Join(dir, "..data")
	last, err := os.Readlink(data)
	if err == nil && upToDate(filepath.Join(dir, last), files) {
		return nil
	}
	fresh := ".." + strconv.FormatInt(time.Now().UnixNano(), 36)
	if err := os.Mkdir(filepath.Join(dir, fresh), 0o755); err != nil {
		return err
	}
	first := map[string]bool{}
	for path, content := range files {
		full := filepath.Join(dir, fresh, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, content, 0o644); err != nil {
			return err
		}
		element, _, _ := strings.Cut(path, "/")
		first[element] = true
	}
	if err := os.Symlink(fresh, data+"_tmp"); err != nil {
		return err
	}
	if err := os.Rename(data+"_tmp", data); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		switch name := entry.Name(); {
		case first[name]:
			delete(first, name) // linked already
		case !strings.HasPrefix(name, "..") || name == last:
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	for name := range first {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// upToDate says whether dir holds exactly these files.
func upToDate(dir string, files map[string][]byte) bool {
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		found = append(found, name)
		return err
	})
	if err != nil || len(found) != len(files) {
		return false
	}
	return !slices.ContainsFunc(found, func(name string) bool {
		want, ok := files[name]
		have, err := os.ReadFile(filepath.Join(dir, name))
		return !ok || err != nil || !bytes.Equal(have, want)
	})
}

// tokenLifetime is what the API server grants at least; tokens are renewed
// when four fifths of it have passed.
const tokenLifetime = time.Hour

// accountToken is a token of the pod's service account, bound to the pod.
func (p *pod) accountToken(ctx context.Context, audience string) (string, error) {
	if token, ok := p.tokens[audience]; ok && time.Since(token.issued) < tokenLifetime*4/5 {
		return token.value, nil
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: ptr.To(int64(tokenLifetime.Seconds())),
		BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: p.name.Name, UID: p.object.UID},
	}}
	if audience != "" {
		request.Spec.Audiences = []string{audience}
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: p.name.Namespace, Name: p.object.Spec.ServiceAccountName}}
	if err := p.kubelet.client.SubResource("token").Create(ctx, account, request); err != nil {
		return "", fmt.Errorf("token of service account %s: %w", account.Name, err)
	}
	p.tokens[audience] = accountToken{value: request.Status.Token, issued: time.Now()}
	return request.Status.Token, nil
}

type accountToken struct {
	value  string
	issued time.Time
}

// kubeconfig writes access to the API server as the pod's service account and
// returns the file's path, or nothing where the pod or the account forbids it.
func (p *pod) kubeconfig(ctx context.Context) (string, error) {
	automount := p.object.Spec.AutomountServiceAccountToken
	if automount == nil {
		account := &corev1.ServiceAccount{}
		if err := p.get(ctx, account, p.object.Spec.ServiceAccountName); apierrors.IsNotFound(err) && p.object.Spec.ServiceAccountName == "default" {
			return "", nil // nothing here makes the account "default" of a namespace
		} else if err != nil {
			return "", err
		}
		automount = account.AutomountServiceAccountToken
	}
	if !ptr.Deref(automount, true) {
		return "", nil
	}
	token, err := p.accountToken(ctx, "")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(p.dir, "serviceaccount")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := writeAtomically(dir, map[string][]byte{"token": []byte(token)}); err != nil {
		return "", err
	}
	path := filepath.Join(p.dir, "kubeconfig")
	config := accountConfig(p.kubelet.config.API, filepath.Join(dir, "token"), p.name.Namespace)
	if err := clientcmd.WriteToFile(config, path); err != nil {
		return "", err
	}
	return path, nil
}

func accountConfig(api *rest.Config, tokenFile, namespace string) clientcmdapi.Config {
	config := clientcmdapi.NewConfig()
	config.Clusters["local"] = &clientcmdapi.Cluster{Server: api.Host, CertificateAuthorityData: api.CAData}
	config.AuthInfos["pod"] = &clientcmdapi.AuthInfo{TokenFile: tokenFile}
	config.Contexts["pod"] = &clientcmdapi.Context{Cluster: "local", AuthInfo: "pod", Namespace: namespace}
	config.CurrentContext = "pod"
	return *config
}
