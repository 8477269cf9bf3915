/**
 * The resources every server has, one line each:
 * `group/version plural Kind scope shortNames categories | subresource:verbs …`
 * scope N or C; verbs as letters c(reate) d(elete) D(eletecollection) g(et) l(ist) p(atch) u(pdate) w(atch), all if not said.
 */
export const RESOURCES = `
v1 namespaces Namespace C ns - cdglpuw | finalize:u status:gpu
v1 configmaps ConfigMap N cm - |
v1 secrets Secret N - - |
v1 serviceaccounts ServiceAccount N sa - | token:c
v1 nodes Node C no - | status:gpu
v1 services Service N svc all | status:gpu
v1 endpoints Endpoints N ep - |
v1 pods Pod N po all | attach:cg binding:c ephemeralcontainers:gpu eviction:c exec:cg log:g portforward:cg proxy:cdgpu resize:gpu status:gpu
v1 events Event N ev - |
apps/v1 deployments Deployment N deploy all | scale:gpu status:gpu
apps/v1 daemonsets DaemonSet N ds all | status:gpu
apps/v1 replicasets ReplicaSet N rs all | scale:gpu status:gpu
coordination.k8s.io/v1 leases Lease N - - |
discovery.k8s.io/v1 endpointslices EndpointSlice N - - |
networking.k8s.io/v1 servicecidrs ServiceCIDR C - - | status:gpu
scheduling.k8s.io/v1 priorityclasses PriorityClass C pc - |
rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding C - - |
rbac.authorization.k8s.io/v1 clusterroles ClusterRole C - - |
rbac.authorization.k8s.io/v1 rolebindings RoleBinding N - - |
rbac.authorization.k8s.io/v1 roles Role N - - |
authentication.k8s.io/v1 selfsubjectreviews SelfSubjectReview C - - c |
authentication.k8s.io/v1 tokenreviews TokenReview C - - c |
authorization.k8s.io/v1 localsubjectaccessreviews LocalSubjectAccessReview N - - c |
authorization.k8s.io/v1 selfsubjectaccessreviews SelfSubjectAccessReview C - - c |
authorization.k8s.io/v1 selfsubjectrulesreviews SelfSubjectRulesReview C - - c |
authorization.k8s.io/v1 subjectaccessreviews SubjectAccessReview C - - c |
apiextensions.k8s.io/v1 customresourcedefinitions CustomResourceDefinition C crd,crds api-extensions | status:gpu
`;

/**
 * Schemas of the built-in kinds, a line each: `Name: field:type …`.
 * Scalars: s string, i integer, b boolean, t time, u micro time, y base64, q quantity or int-or-string, x anything.
 * [T] list (atomic), [T]@a,b list keyed by a and b, [T]@ set, {T} map; then `!` atomic, <a|b> allowed values,
 * >n or >=n minimum, =value default (JSON or a bare word).
 */
export const SCHEMAS = `
ObjectMeta: name:s generateName:s namespace:s selfLink:s uid:s resourceVersion:s generation:i creationTimestamp:t deletionTimestamp:t deletionGracePeriodSeconds:i labels:{s} annotations:{s} ownerReferences:[OwnerReference]@uid finalizers:[s]@ managedFields:x
OwnerReference: apiVersion:s kind:s name:s uid:s controller:b blockOwnerDeletion:b
ObjectReference: kind:s namespace:s name:s uid:s apiVersion:s resourceVersion:s fieldPath:s
LabelSelector: matchLabels:{s} matchExpressions:[SelectorRequirement]
SelectorRequirement: key:s operator:s values:[s]
Condition: type:s status:s observedGeneration:i lastUpdateTime:t lastTransitionTime:t=null reason:s message:s
NameRef: name:s
KeyRef: name:s key:s optional:b
SourceRef: name:s optional:b
KeyPath: key:s path:s mode:i
Namespace: spec:NamespaceSpec status:NamespaceStatus
NamespaceSpec: finalizers:[s]
NamespaceStatus: phase:s conditions:[Condition]@type
ConfigMap: data:{s} binaryData:{y} immutable:b
Secret: data:{y} stringData:{s} type:s=Opaque immutable:b
ServiceAccount: secrets:[ObjectReference]@name imagePullSecrets:[NameRef] automountServiceAccountToken:b
Node: spec:NodeSpec={} status:NodeStatus={}
NodeSpec: podCIDR:s podCIDRs:[s]@ providerID:s unschedulable:b taints:[Taint] externalID:s configSource:x
Taint: key:s value:s effect:s timeAdded:t
NodeStatus: capacity:{q} allocatable:{q} phase:s conditions:[NodeCondition]@type addresses:[NodeAddress]@type daemonEndpoints:x={"kubeletEndpoint":{"Port":0}} nodeInfo:NodeInfo={} images:x volumesInUse:[s] volumesAttached:x config:x runtimeHandlers:x features:x
NodeAddress: type:s address:s
NodeCondition: type:s status:s lastHeartbeatTime:t=null lastTransitionTime:t=null reason:s message:s
NodeInfo: machineID:s="" systemUUID:s="" bootID:s="" kernelVersion:s="" osImage:s="" containerRuntimeVersion:s="" kubeletVersion:s="" kubeProxyVersion:s="" operatingSystem:s="" architecture:s="" swap:x
Service: spec:ServiceSpec={} status:ServiceStatus={}
ServiceSpec: ports:[ServicePort]@port,protocol selector:{s}! clusterIP:s clusterIPs:[s] type:s=ClusterIP externalIPs:[s] sessionAffinity:s=None loadBalancerIP:s loadBalancerSourceRanges:[s] externalName:s externalTrafficPolicy:s healthCheckNodePort:i publishNotReadyAddresses:b sessionAffinityConfig:x ipFamilies:[s] ipFamilyPolicy:s loadBalancerClass:s allocateLoadBalancerNodePorts:b internalTrafficPolicy:s trafficDistribution:s
ServicePort: name:s protocol:s=TCP appProtocol:s port:i targetPort:q nodePort:i
ServiceStatus: loadBalancer:LoadBalancerStatus={} conditions:[Condition]@type
LoadBalancerStatus: ingress:[LoadBalancerIngress]
LoadBalancerIngress: ip:s hostname:s ipMode:s ports:x
Endpoints: subsets:[EndpointSubset]
EndpointSubset: addresses:[EndpointAddress] notReadyAddresses:[EndpointAddress] ports:[EndpointPort]
EndpointAddress: ip:s hostname:s nodeName:s targetRef:ObjectReference!
EndpointPort: name:s port:i protocol:s=TCP appProtocol:s
EndpointSlice: addressType:s<FQDN|IPv4|IPv6> endpoints:[Endpoint] ports:[EndpointPort]
Endpoint: addresses:[s] conditions:EndpointConditions={} hostname:s targetRef:ObjectReference! deprecatedTopology:{s} nodeName:s zone:s hints:x
EndpointConditions: ready:b serving:b terminating:b
Event: involvedObject:ObjectReference! reason:s message:s source:EventSource={} firstTimestamp:t=null lastTimestamp:t=null count:i type:s eventTime:u=null series:x action:s related:ObjectReference! reportingComponent:s="" reportingInstance:s=""
EventSource: component:s host:s
Lease: spec:LeaseSpec={}
LeaseSpec: holderIdentity:s leaseDurationSeconds:i>0 acquireTime:u renewTime:u leaseTransitions:i>=0 strategy:s preferredHolder:s
ServiceCIDR: spec:ServiceCIDRSpec={} status:ServiceCIDRStatus={}
ServiceCIDRSpec: cidrs:[s]
ServiceCIDRStatus: conditions:[Condition]@type
PriorityClass: value:i globalDefault:b description:s preemptionPolicy:s=PreemptLowerPriority
PolicyRule: verbs:[s] apiGroups:[s] resources:[s] resourceNames:[s] nonResourceURLs:[s]
Role: rules:[PolicyRule]=null
ClusterRole: rules:[PolicyRule]=null aggregationRule:AggregationRule
AggregationRule: clusterRoleSelectors:[LabelSelector]
RoleRef: apiGroup:s kind:s name:s
Subject: kind:s apiGroup:s name:s namespace:s
RoleBinding: subjects:[Subject] roleRef:RoleRef!
ClusterRoleBinding: subjects:[Subject] roleRef:RoleRef!
CustomResourceDefinition: spec:CrdSpec={} status:CrdStatus={}
CrdSpec: group:s names:CrdNames={} scope:s versions:[CrdVersion] conversion:x={"strategy":"None"} preserveUnknownFields:b
CrdNames: plural:s singular:s shortNames:[s] kind:s listKind:s categories:[s]
CrdVersion: name:s served:b storage:b deprecated:b deprecationWarning:s schema:x subresources:x additionalPrinterColumns:x selectableFields:x
CrdStatus: conditions:[Condition]@type acceptedNames:x={"plural":"","kind":""} storedVersions:[s] observedGeneration:i
Deployment: spec:DeploymentSpec={} status:DeploymentStatus={}
DeploymentSpec: replicas:i>=0=1 selector:LabelSelector! template:PodTemplate={} strategy:RolloutStrategy={} minReadySeconds:i revisionHistoryLimit:i=10 paused:b progressDeadlineSeconds:i=600
RolloutStrategy: type:s=RollingUpdate rollingUpdate:RollingUpdate
RollingUpdate: maxUnavailable:q maxSurge:q
DeploymentStatus: observedGeneration:i replicas:i updatedReplicas:i readyReplicas:i availableReplicas:i unavailableReplicas:i terminatingReplicas:i conditions:[Condition]@type collisionCount:i
DaemonSet: spec:DaemonSetSpec={} status:DaemonSetStatus={}
DaemonSetSpec: selector:LabelSelector! template:PodTemplate={} updateStrategy:RolloutStrategy={} minReadySeconds:i revisionHistoryLimit:i=10
DaemonSetStatus: currentNumberScheduled:i=0 numberMisscheduled:i=0 desiredNumberScheduled:i=0 numberReady:i=0 observedGeneration:i updatedNumberScheduled:i numberAvailable:i numberUnavailable:i collisionCount:i conditions:[Condition]@type
ReplicaSet: spec:ReplicaSetSpec={} status:ReplicaSetStatus={}
ReplicaSetSpec: replicas:i>=0=1 minReadySeconds:i selector:LabelSelector! template:PodTemplate={}
ReplicaSetStatus: replicas:i=0 fullyLabeledReplicas:i readyReplicas:i availableReplicas:i terminatingReplicas:i observedGeneration:i conditions:[Condition]@type
PodTemplate: metadata:ObjectMeta spec:PodSpec={}
Pod: spec:PodSpec={} status:PodStatus={}
PodStatus: observedGeneration:i phase:s=Pending conditions:[PodCondition]@type message:s reason:s nominatedNodeName:s hostIP:s hostIPs:[PodIP] podIP:s podIPs:[PodIP]@ip startTime:t initContainerStatuses:x containerStatuses:x qosClass:s ephemeralContainerStatuses:x resize:s resourceClaimStatuses:x
PodCondition: type:s observedGeneration:i status:s lastProbeTime:t=null lastTransitionTime:t=null reason:s message:s
PodIP: ip:s
PodSpec: volumes:[Volume]@name initContainers:[Container]@name containers:[Container]@name ephemeralContainers:x restartPolicy:s<Always|OnFailure|Never>=Always terminationGracePeriodSeconds:i=30 activeDeadlineSeconds:i dnsPolicy:s<ClusterFirstWithHostNet|ClusterFirst|Default|None>=ClusterFirst nodeSelector:{s}! serviceAccountName:s serviceAccount:s automountServiceAccountToken:b nodeName:s hostNetwork:b hostPID:b hostIPC:b shareProcessNamespace:b securityContext:x={} imagePullSecrets:[NameRef]@name hostname:s subdomain:s affinity:x schedulerName:s=default-scheduler tolerations:[Toleration] hostAliases:[HostAlias]@ip priorityClassName:s priority:i dnsConfig:x readinessGates:x runtimeClassName:s enableServiceLinks:b preemptionPolicy:s overhead:{q} topologySpreadConstraints:x setHostnameAsFQDN:b os:x hostUsers:b schedulingGates:x resourceClaims:x resources:x hostnameOverride:s
Toleration: key:s operator:s value:s effect:s tolerationSeconds:i
HostAlias: ip:s hostnames:[s]
Container: name:s image:s command:[s] args:[s] workingDir:s ports:[ContainerPort]@containerPort,protocol envFrom:[EnvFrom] env:[EnvVar]@name resources:Resources={} resizePolicy:x restartPolicy:s restartPolicyRules:x volumeMounts:[VolumeMount]@mountPath volumeDevices:x livenessProbe:Probe readinessProbe:Probe startupProbe:Probe lifecycle:x terminationMessagePath:s=/dev/termination-log terminationMessagePolicy:s=File imagePullPolicy:s<Always|IfNotPresent|Never> securityContext:x stdin:b stdinOnce:b tty:b
ContainerPort: name:s hostPort:i containerPort:i protocol:s<SCTP|TCP|UDP>=TCP hostIP:s
EnvFrom: prefix:s configMapRef:SourceRef secretRef:SourceRef
EnvVar: name:s value:s valueFrom:EnvSource
EnvSource: fieldRef:FieldRef! resourceFieldRef:x configMapKeyRef:KeyRef! secretKeyRef:KeyRef! fileKeyRef:x
FieldRef: apiVersion:s=v1 fieldPath:s
Resources: limits:{q} requests:{q} claims:x
VolumeMount: name:s readOnly:b recursiveReadOnly:s mountPath:s subPath:s mountPropagation:s subPathExpr:s
Probe: exec:x httpGet:HttpGet tcpSocket:x grpc:x initialDelaySeconds:i timeoutSeconds:i=1 periodSeconds:i=10 successThreshold:i=1 failureThreshold:i=3 terminationGracePeriodSeconds:i
HttpGet: path:s=/ port:q host:s scheme:s=HTTP httpHeaders:x
Volume: name:s hostPath:HostPath emptyDir:x secret:SecretVolume configMap:ConfigMapVolume downwardAPI:x projected:Projected persistentVolumeClaim:x nfs:x csi:x ephemeral:x image:x
HostPath: path:s type:s=""
SecretVolume: secretName:s items:[KeyPath] defaultMode:i=420 optional:b
ConfigMapVolume: name:s items:[KeyPath] defaultMode:i=420 optional:b
Projected: sources:[Projection] defaultMode:i=420
Projection: secret:x configMap:x downwardAPI:x serviceAccountToken:TokenProjection clusterTrustBundle:x podCertificate:x
TokenProjection: audience:s expirationSeconds:i=3600 path:s
Scale: spec:ScaleSpec={} status:x
ScaleSpec: replicas:i>=0
Binding: target:ObjectReference
Eviction: deleteOptions:x
TokenRequest: spec:TokenRequestSpec={} status:x
TokenRequestSpec: audiences:[s] expirationSeconds:i=3600 boundObjectRef:BoundRef=null
BoundRef: kind:s apiVersion:s name:s uid:s
TokenReview: spec:TokenReviewSpec={} status:x
TokenReviewSpec: token:s audiences:[s]
SelfSubjectReview: status:x
AccessSpec: resourceAttributes:x nonResourceAttributes:x user:s groups:[s] extra:x uid:s
SelfSubjectAccessReview: spec:AccessSpec={} status:x
SubjectAccessReview: spec:AccessSpec={} status:x
LocalSubjectAccessReview: spec:AccessSpec={} status:x
SelfSubjectRulesReview: spec:RulesSpec={} status:x
RulesSpec: namespace:s
`;

/** Kinds whose metadata.generation counts changes of everything but metadata and status. */
export const COUNTED = ['Deployment', 'DaemonSet', 'ReplicaSet', 'Pod', 'EndpointSlice', 'CustomResourceDefinition'];

/** Kinds whose DELETE answers with the object, not a Status. */
export const RETURNED = ['Pod', 'Service', 'ServiceAccount', 'Namespace', 'CustomResourceDefinition'];
