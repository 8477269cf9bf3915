import type { KubeObject } from '../../kube/client.ts';
import type { Pod, Service } from '../../kube/objects.ts';

/** On everything that is made for the time of one command. */
export const TRANSIENT_LABELS = {
  'submariner.io/transient': 'true',
  'app.kubernetes.io/managed-by': 'subctl',
} as const;

/** Programs ended by nobody end by themselves, so that a forgotten pod does no harm. */
export const LIFETIME_SECONDS = 900;

/** Label with the name of the run, on everything it makes. */
export const RUN_LABEL = 'submariner.io/test-run';
/** Label with the name of the pod, for its Service. */
const POD_LABEL = 'submariner.io/test-pod';

/** What the pods of one command in one cluster are made of. */
export interface TestPodPlan {
  readonly namespace: string;
  /** A name no other run has. */
  readonly run: string;
  /** Whether the namespace is made for the pods, and removed with them. */
  readonly ownNamespace: boolean;
  /** The route agent's: it is on every node already, and the prober is in it. */
  readonly image: string;
  readonly imagePullPolicy?: string;
  /** One pod each. */
  readonly nodes: readonly string[];
  /** In the network of the node. */
  readonly hostNetwork: boolean;
  /** With the rights of a gateway's pod, for what takes links, rules and raw packets. */
  readonly networkAdmin?: boolean;
  /** What the pod runs. */
  readonly args: readonly string[];
  /** Where the pod answers once it is ready (TCP); without it a pod is ready when it runs. */
  readonly port?: number;
  /** Whether each pod has a Service of its own too, for this port over TCP and UDP. */
  readonly services?: boolean;
}

/** The namespace of the pods; its Pod Security profile is as strict as they allow. */
export function testNamespace({ namespace, hostNetwork }: Pick<TestPodPlan, 'namespace' | 'hostNetwork'>): KubeObject {
  const enforce = hostNetwork ? 'privileged' : 'restricted';
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace, labels: { ...TRANSIENT_LABELS, 'pod-security.kubernetes.io/enforce': enforce } },
  };
}

const RESTRICTED = {
  runAsNonRoot: true,
  runAsUser: 65_534,
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
} as const;

/** What a gateway has: see templates/engine/daemonset.yaml. */
const NETWORK_ADMIN = {
  runAsUser: 0,
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW', 'NET_BIND_SERVICE'] },
  seccompProfile: { type: 'RuntimeDefault' },
  seLinuxOptions: { type: 'spc_t' },
} as const;

const TUN = [{ name: 'tun', hostPath: { path: '/dev/net', type: 'DirectoryOrCreate' } }] as const;

function powers({ networkAdmin = false }: TestPodPlan): { readonly pod: object; readonly container: object } {
  if (!networkAdmin) return { pod: {}, container: { securityContext: RESTRICTED } };
  const volumeMounts = [{ name: 'tun', mountPath: '/dev/net' }];
  return { pod: { volumes: TUN }, container: { securityContext: NETWORK_ADMIN, volumeMounts } };
}

/** Lets everybody ping in the pod, without a capability. Pod Security knows it as safe; a host network cannot have it. */
const PING = [{ name: 'net.ipv4.ping_group_range', value: '0 2147483647' }] as const;

/** The pods: placed by name, so that a full or cordoned node gets one too. */
export function testPods(plan: TestPodPlan): readonly Pod[] {
  const { namespace, run, ownNamespace, image, imagePullPolicy, hostNetwork, args, port } = plan;
  const probe = port === undefined ? {} : { readinessProbe: { tcpSocket: { port }, periodSeconds: 1 } };
  const nameOf = (index: number): string => `${ownNamespace ? 'probe' : run}-${index + 1}`;
  return plan.nodes.map((nodeName, index) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: nameOf(index),
      namespace,
      labels: { ...TRANSIENT_LABELS, app: 'subctl-probe', [RUN_LABEL]: run, [POD_LABEL]: nameOf(index) },
    },
    spec: {
      nodeName,
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      activeDeadlineSeconds: LIFETIME_SECONDS,
      automountServiceAccountToken: false,
      tolerations: [{ operator: 'Exists' }],
      ...powers(plan).pod,
      ...(hostNetwork ? { hostNetwork, dnsPolicy: 'ClusterFirstWithHostNet' } : { securityContext: { sysctls: PING } }),
      containers: [
        {
          name: 'probe',
          image,
          ...(imagePullPolicy === undefined ? {} : { imagePullPolicy }),
          args,
          ...probe,
          ...powers(plan).container,
        },
      ],
    },
  }));
}

/** A Service for each pod, of the same name; none unless the plan asks for them. */
export function testServices(plan: TestPodPlan): readonly Service[] {
  const { namespace, run, port, services } = plan;
  if (services !== true || port === undefined) return [];
  return testPods(plan).map(({ metadata: { name = '' } }) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, labels: { ...TRANSIENT_LABELS, [RUN_LABEL]: run } },
    spec: {
      selector: { [POD_LABEL]: name },
      ports: ['TCP', 'UDP'].map((protocol) => ({ name: protocol.toLowerCase(), protocol, port, targetPort: port })),
    },
  }));
}
