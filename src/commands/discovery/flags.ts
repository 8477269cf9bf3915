import type { Pod } from '../../kube/objects.ts';
import { canonicalCidr } from '../../net/cidr.ts';
import { cidrsOf, type ClusterObjects, type DiscoverySource, type Finding, type FoundCidr } from './objects.ts';

/** The value of `--flag` in a command line; both `--flag=value` and `--flag value`, the last one wins. */
export function flagValue(args: readonly string[], flag: string): string | undefined {
  let value: string | undefined;
  for (const [index, arg] of args.entries()) {
    if (arg.startsWith(`${flag}=`)) value = arg.slice(flag.length + 1);
    else if (arg === flag) value = args[index + 1];
  }
  return value;
}

/** The words a pod's containers are started with; a shell line counts as its words. */
function commandLine(pod: Pod): readonly string[] {
  return pod.spec.containers
    .flatMap(({ command, args }) => [...(command ?? []), ...(args ?? [])])
    .flatMap((part) => part.split(/\s+/));
}

function isComponent(pod: Pod, component: string): boolean {
  const labels = pod.metadata.labels ?? {};
  const name = pod.metadata.name ?? '';
  return (
    labels['component'] === component ||
    labels['k8s-app'] === component ||
    labels['name'] === component ||
    name.startsWith(component)
  );
}

/** Non-empty CIDRs of a flag of the first pod of a component that has it. */
function flagCidrs(objects: ClusterObjects, component: string, flag: string): readonly FoundCidr[] {
  for (const pod of objects.pods.filter((candidate) => isComponent(candidate, component))) {
    const found = cidrsOf(canonicalCidr, flagValue(commandLine(pod), flag), `${component} ${flag}`);
    if (found.length > 0) return found;
  }
  return [];
}

/** kube-apiserver --service-cluster-ip-range of a control plane that runs as pods. */
export const apiServerFlags: DiscoverySource = (objects): Finding => ({
  pods: [],
  services: flagCidrs(objects, 'kube-apiserver', '--service-cluster-ip-range'),
});

/** kube-controller-manager --cluster-cidr and --service-cluster-ip-range. */
export const controllerManagerFlags: DiscoverySource = (objects): Finding => ({
  pods: flagCidrs(objects, 'kube-controller-manager', '--cluster-cidr'),
  services: flagCidrs(objects, 'kube-controller-manager', '--service-cluster-ip-range'),
});

/** kube-proxy --cluster-cidr on its command line. */
export const kubeProxyFlags: DiscoverySource = (objects): Finding => ({
  pods: flagCidrs(objects, 'kube-proxy', '--cluster-cidr'),
  services: [],
});
