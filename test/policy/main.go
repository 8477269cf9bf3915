// Decides requests by admission policies as a kube-apiserver does, with the admission plugin of k8s.io/apiserver itself.
// Reads {"objects": [...], "denied": {...}, "requests": [...]} from standard input, and writes one decision for each
// request, once the policies are in force: when the request "denied" is.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
)

type request struct {
	User      string          `json:"user"`
	Operation string          `json:"operation"`
	Resource  string          `json:"resource"`
	Kind      string          `json:"kind"`
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	Object    json.RawMessage `json:"object"`
	OldObject json.RawMessage `json:"oldObject"`
}

type input struct {
	Objects  []json.RawMessage `json:"objects"`
	Denied   request           `json:"denied"`
	Requests []request         `json:"requests"`
}

type decision struct {
	Allowed bool   `json:"allowed"`
	Code    int32  `json:"code"`
	Message string `json:"message"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return err
	}
	objects := []runtime.Object{}
	for _, text := range in.Objects {
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode(text, nil, nil)
		if err != nil {
			return err
		}
		objects = append(objects, object)
	}
	stop := make(chan struct{})
	defer close(stop)
	plugin, err := start(objects, stop)
	if err != nil {
		return err
	}
	if err := inForce(plugin, in.Denied); err != nil {
		return err
	}
	decisions := []decision{}
	for _, one := range in.Requests {
		made, err := decide(plugin, one)
		if err != nil {
			return err
		}
		decisions = append(decisions, made)
	}
	return json.NewEncoder(os.Stdout).Encode(decisions)
}

// The plugin, when it has seen these objects.
func start(objects []runtime.Object, stop <-chan struct{}) (*validating.Plugin, error) {
	client := fake.NewClientset(objects...)
	factory := informers.NewSharedInformerFactory(client, 0)
	plugin, err := validating.NewPlugin(nil)
	if err != nil {
		return nil, err
	}
	plugin.SetExternalKubeClientSet(client)
	plugin.SetExternalKubeInformerFactory(factory)
	plugin.SetRESTMapper(meta.NewDefaultRESTMapper([]schema.GroupVersion{corev1.SchemeGroupVersion}))
	plugin.SetDynamicClient(dynamicfake.NewSimpleDynamicClient(scheme.Scheme))
	plugin.SetAuthorizer(authorizerfactory.NewAlwaysAllowAuthorizer())
	plugin.SetDrainedNotification(stop)
	if err := plugin.ValidateInitialization(); err != nil {
		return nil, err
	}
	factory.Start(stop)
	factory.WaitForCacheSync(stop)
	if !plugin.WaitForReady() {
		return nil, errors.New("the admission plugin does not become ready")
	}
	return plugin, nil
}

// Policies are compiled by a loop of the plugin's own; waits for it.
func inForce(plugin *validating.Plugin, denied request) error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		made, err := decide(plugin, denied)
		if err != nil || !made.Allowed {
			return err
		}
	}
	return errors.New("no policy denies what one has to deny")
}

func decide(plugin *validating.Plugin, one request) (decision, error) {
	object, err := unstructuredOf(one.Object)
	if err != nil {
		return decision{}, err
	}
	old, err := unstructuredOf(one.OldObject)
	if err != nil {
		return decision{}, err
	}
	group := schema.GroupVersion{Group: "submariner.io", Version: "v1"}
	operation := admission.Operation(one.Operation)
	var options runtime.Object
	switch operation {
	case admission.Create:
		options = &metav1.CreateOptions{}
	case admission.Update:
		options = &metav1.UpdateOptions{}
	default:
		options = &metav1.DeleteOptions{}
	}
	attributes := admission.NewAttributesRecord(object, old, group.WithKind(one.Kind), one.Namespace, one.Name,
		group.WithResource(one.Resource), "", operation, options, false, &user.DefaultInfo{Name: one.User})
	scope := admission.NewObjectInterfacesFromScheme(scheme.Scheme)
	err = plugin.Validate(context.Background(), attributes, scope)
	if err == nil {
		return decision{Allowed: true, Code: 200}, nil
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return decision{}, err
	}
	return decision{Code: status.Status().Code, Message: status.Status().Message}, nil
}

// What a server holds of a custom resource; nil where a request has none.
func unstructuredOf(text json.RawMessage) (runtime.Object, error) {
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	object := &unstructured.Unstructured{}
	return object, object.UnmarshalJSON(text)
}
