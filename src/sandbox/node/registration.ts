import { arch, cpus, release, totalmem } from 'node:os';
import type { Condition, Lease, Node } from '../../kube/objects.ts';
import type { NodeConfig } from './config.ts';

/** Namespace of the Leases by which nodes say that they live. */
export const LEASE_NAMESPACE = 'kube-node-lease';
const LEASE_SECONDS = 40;

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' };

function machine(): { readonly architecture: string; readonly os: string } {
  return { architecture: ARCHITECTURES[arch()] ?? arch(), os: 'linux' };
}

/** The Node object of a fresh node. */
export function nodeObject(config: NodeConfig): Node {
  const { architecture, os } = machine();
  return {
    metadata: {
      name: config.node,
      labels: {
        'kubernetes.io/hostname': config.node,
        'kubernetes.io/os': os,
        'kubernetes.io/arch': architecture,
        'beta.kubernetes.io/os': os,
        'beta.kubernetes.io/arch': architecture,
        ...config.labels,
      },
    },
    spec: {
      podCIDR: config.podCidr,
      podCIDRs: [config.podCidr],
      providerID: `sandbox://${config.sandbox}/${config.node}`,
    },
  };
}

function condition(
  type: string,
  status: Condition['status'],
  reason: string,
  message: string,
  before: Node | undefined,
  now: string,
): Condition {
  const previous = before?.status?.conditions?.find((one) => one.type === type);
  const lastTransitionTime = previous?.status === status ? (previous.lastTransitionTime ?? now) : now;
  return { type, status, reason, message, lastTransitionTime };
}

/** The status of a node whose agent lives; `before` is the Node as the API server has it, `now` is RFC 3339. */
export function nodeStatus(
  config: NodeConfig,
  kubeletVersion: string,
  before: Node | undefined,
  now: string,
): NonNullable<Node['status']> & Readonly<Record<string, unknown>> {
  const { architecture, os } = machine();
  const resources = { cpu: String(cpus().length), memory: `${Math.floor(totalmem() / 1024)}Ki`, pods: '110' };
  return {
    addresses: [
      { type: 'InternalIP', address: config.address },
      { type: 'Hostname', address: config.node },
    ],
    capacity: resources,
    allocatable: resources,
    conditions: [
      condition(
        'MemoryPressure',
        'False',
        'KubeletHasSufficientMemory',
        'kubelet has sufficient memory available',
        before,
        now,
      ),
      condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure', before, now),
      condition('PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available', before, now),
      condition('Ready', 'True', 'KubeletReady', 'kubelet is posting ready status', before, now),
    ],
    nodeInfo: {
      architecture,
      operatingSystem: os,
      kernelVersion: release(),
      kubeletVersion,
      kubeProxyVersion: kubeletVersion,
      osImage: 'subctl sandbox',
      containerRuntimeVersion: 'process://1',
      machineID: config.node,
      systemUUID: config.node,
      bootID: config.node,
    },
  };
}

/** The Lease of a living node; `now` is in milliseconds since the epoch. */
export function nodeLease(config: NodeConfig, now: number): Lease {
  return {
    metadata: { name: config.node, namespace: LEASE_NAMESPACE },
    spec: {
      holderIdentity: config.node,
      leaseDurationSeconds: LEASE_SECONDS,
      renewTime: new Date(now).toISOString().replace('Z', '000Z'),
    },
  };
}
