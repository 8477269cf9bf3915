import type { SandboxSize } from './plan.ts';

/** Configuration of the control plane of one cluster. */
export interface ControlPlaneConfig {
  readonly cluster: string;
  /** The URL clients use, e.g. https://198.18.0.11:6443. */
  readonly server: string;
  readonly listen: readonly { readonly host: string; readonly port: number }[];
  /** The API server listens here too, for the host. */
  readonly socketPath: string;
  /** Address of the API server on the cluster's LAN: the endpoint of Service `kubernetes`. */
  readonly lanAddress: string;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly adminToken: string;
  readonly serviceCidr: string;
  readonly podCidr: string;
  /** `embedded`, or a directory with kube-apiserver and etcd. */
  readonly controlPlane: string;
  /** Directory for the files of the control plane. */
  readonly dataDir: string;
  /** Silence after which a node counts as lost. */
  readonly nodeGraceMs: number;
  /** The sandbox the cluster is part of, and the directory that has one of each node. */
  readonly sandbox: SandboxSize;
  readonly nodesDir: string;
}
