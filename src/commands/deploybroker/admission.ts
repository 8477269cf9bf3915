import type { KubeClient } from '../../kube/client.ts';
import { isForbidden, isNotFound } from '../../kube/errors.ts';
import { RESOURCES } from '../../kube/resources.ts';

interface ResourceList {
  readonly resources?: readonly { readonly name: string }[];
}

/** Whether an API server has ValidatingAdmissionPolicies in their final form, as those from Kubernetes 1.30 on do. */
export async function hasAdmissionPolicies(client: KubeClient): Promise<boolean> {
  const { group, version, plural } = RESOURCES.admissionPolicies;
  try {
    const { resources = [] } = await client.request<ResourceList>('GET', `/apis/${group}/${version}`);
    return resources.some(({ name }) => name === plural);
  } catch (error) {
    if (isNotFound(error) || isForbidden(error)) return false;
    throw error;
  }
}

/** Name of the policy (and its binding) that holds for members of the broker in a namespace. */
export function admissionPolicyName(namespace: string): string {
  return `${namespace}-members`;
}
