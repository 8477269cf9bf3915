import type { KubeObject } from '../../kube/client.ts';
import type { Condition, Deployment, LabelSelector, PodTemplate } from '../../kube/objects.ts';

/** A ReplicaSet as raw JSON: only the fields we use. */
export interface ReplicaSet extends KubeObject {
  readonly spec: { readonly replicas?: number; readonly selector: LabelSelector; readonly template?: PodTemplate };
  readonly status?: {
    readonly replicas?: number;
    readonly readyReplicas?: number;
    readonly availableReplicas?: number;
    readonly observedGeneration?: number;
    readonly conditions?: readonly Condition[];
  };
}

/** The update fields of a Deployment. */
export interface DeploymentStrategy {
  readonly strategy?: {
    readonly type?: string;
    readonly rollingUpdate?: { readonly maxUnavailable?: number | string; readonly maxSurge?: number | string };
  };
  readonly revisionHistoryLimit?: number;
  readonly paused?: boolean;
}

/** A Deployment with its update fields. */
export type RollingDeployment = Deployment & { readonly spec: Deployment['spec'] & DeploymentStrategy };
