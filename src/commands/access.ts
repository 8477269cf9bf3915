import type { KubeClient } from '../kube/client.ts';

/** A context of the kubeconfig. */
export interface ContextInfo {
  readonly name: string;
  /** Name of the cluster entry. */
  readonly cluster: string;
  readonly user: string;
  readonly namespace: string | undefined;
  readonly server: string;
}

/** A client for one context. */
export interface ClusterAccess extends ContextInfo {
  readonly client: KubeClient;
}

/** How to reach a broker with what broker-info.subm or the members' secret holds. */
export interface BrokerTarget {
  /** With scheme. */
  readonly server: string;
  readonly token: string;
  /** PEM; undefined when the public CAs are to be trusted. */
  readonly ca: string | undefined;
  readonly namespace: string;
  readonly insecure: boolean;
  /** Where this comes from, for messages. */
  readonly source: string;
}

/** API servers a command can talk to. Rejects with ExpectedError when there is no usable kubeconfig or context. */
export interface KubeAccess {
  contexts(): Promise<readonly ContextInfo[]>;
  /** The current context, or the one of --context. */
  current(): Promise<ClusterAccess>;
  connect(contextName: string): Promise<ClusterAccess>;
  broker(target: BrokerTarget): Promise<KubeClient>;
}
