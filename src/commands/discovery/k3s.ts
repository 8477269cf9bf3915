import type { Node } from '../../kube/objects.ts';
import { canonicalCidr } from '../../net/cidr.ts';
import { flagValue } from './flags.ts';
import { cidrsOf, type DiscoverySource, type Finding, type FoundCidr, NOTHING } from './objects.ts';

/** Annotations in which k3s and rke2 record how a node was started: a JSON list of words. */
const ARGS_ANNOTATIONS = ['k3s.io/node-args', 'rke2.io/node-args'] as const;
/** What k3s and rke2 servers use when no flag says otherwise. */
const DEFAULTS = { '--cluster-cidr': '10.42.0.0/16', '--service-cidr': '10.43.0.0/16' } as const;

function argsOf(node: Node): readonly string[] | undefined {
  const text = ARGS_ANNOTATIONS.map((name) => node.metadata.annotations?.[name]).find((value) => value !== undefined);
  if (text === undefined) return undefined;
  try {
    const args: unknown = JSON.parse(text);
    return Array.isArray(args) ? args.map(String) : undefined;
  } catch {
    return undefined;
  }
}

/** k3s and rke2: --cluster-cidr and --service-cidr of the server nodes, or their documented defaults. */
export const k3s: DiscoverySource = ({ nodes }): Finding => {
  const servers = nodes.map(argsOf).filter((args) => args?.[0] === 'server');
  if (servers.length === 0) return NOTHING;
  const read = (flag: keyof typeof DEFAULTS): readonly FoundCidr[] => {
    const given = servers.map((args) => flagValue(args ?? [], flag)).find((value) => value !== undefined);
    return given === undefined
      ? cidrsOf(canonicalCidr, DEFAULTS[flag], `k3s default ${flag}`)
      : cidrsOf(canonicalCidr, given, `k3s node arguments ${flag}`);
  };
  return { pods: read('--cluster-cidr'), services: read('--service-cidr') };
};
