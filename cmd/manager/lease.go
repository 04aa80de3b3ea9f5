package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// leaseName is the name of the Lease of the manager that leads.
const leaseName = "weir-manager"

// lease is the lock by which managers elect their leader.
type lease struct {
	resourcelock.Interface
	client    kubernetes.Interface
	namespace string
}

// newLease is the lock of the managers in a namespace, for one that has an
// identity of its own.
func newLease(config *rest.Config, namespace string) (*lease, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	config = rest.AddUserAgent(config, "leader-election")
	config.Timeout = 5 * time.Second // half of the time in which it must be renewed
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, namespace, leaseName, client.CoreV1(), client.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: host + "_" + uuid.NewString()})
	return &lease{lock, client, namespace}, err
}

// leads says whether this manager holds the lease, as the API server has it.
func (l *lease) leads(ctx context.Context) (bool, error) {
	held, err := l.client.CoordinationV1().Leases(l.namespace).Get(ctx, leaseName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading Lease %s/%s: %w", l.namespace, leaseName, err)
	}
	return held.Spec.HolderIdentity != nil && *held.Spec.HolderIdentity == l.Identity(), nil
}
