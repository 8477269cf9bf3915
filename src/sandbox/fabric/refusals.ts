import { API_PORT, LAN_LINK, WAN_LINK, type ClusterPlan } from '../plan.ts';
import { inNamespace, type FabricTools } from './fabric.ts';
import { FAULT_TABLE } from './fault-rules.ts';

/** An API server that refuses connections as one does whose process has ended. */
export interface Refusal {
  readonly kind: 'refused';
  /** `control-plane.<cluster>`. */
  readonly target: string;
  /** `wan`: refuses other networks only, so that a broker is away for everybody but the cluster it is in. */
  readonly only?: 'wan';
}

function script(wanOnly: boolean): string {
  const links = wanOnly ? WAN_LINK : `${LAN_LINK}, ${WAN_LINK}`;
  const rule = `iifname { ${links} } tcp dport ${API_PORT} reject with tcp reset comment "${wanOnly ? 'wan' : 'all'}"`;
  const chain = `chain entering { type filter hook input priority 0; policy accept; ${rule}; }`;
  return `table inet ${FAULT_TABLE}\ndelete table inet ${FAULT_TABLE}\ntable inet ${FAULT_TABLE} { ${chain}; }\n`;
}

/** Which connections end: those to its addresses, not those it has with itself. */
function connectionsOf({ controlPlane }: ClusterPlan, wanOnly: boolean): string {
  const { lanAddress, wanAddress } = controlPlane;
  const sources = wanOnly ? [wanAddress] : [wanAddress, lanAddress];
  return `( ${sources.map((address) => `src ${address}`).join(' or ')} ) and sport = :${API_PORT}`;
}

async function runThere(
  tools: FabricTools,
  { controlPlane }: ClusterPlan,
  command: readonly string[],
  options?: { readonly stdin: string },
): Promise<string> {
  const [file = '', ...args] = inNamespace(controlPlane.namespace, command);
  return (await tools.runner.run(file, args, options ?? { okExitCodes: [0, 1] })).stdout;
}

/**
 * The API server of a cluster is gone for its nodes and for other clusters: connections are reset, new ones refused. The
 * program itself runs on, so that the machine's own way to it (kubectl through the proxy) still works.
 */
export async function refuseConnections(
  tools: FabricTools,
  cluster: ClusterPlan,
  options: { readonly only?: 'wan' } = {},
): Promise<void> {
  const wanOnly = options.only !== undefined;
  await runThere(tools, cluster, ['nft', '-f', '-'], { stdin: script(wanOnly) });
  // Where the kernel cannot end connections (CONFIG_INET_DIAG_DESTROY), the rule does as soon as the client speaks.
  await runThere(tools, cluster, ['ss', '--kill', '--tcp', ...connectionsOf(cluster, wanOnly).split(' ')]);
}

/** Undoes it; does nothing when there is nothing to undo. */
export async function acceptConnections(tools: FabricTools, cluster: ClusterPlan): Promise<void> {
  await runThere(tools, cluster, ['nft', 'delete', 'table', 'inet', FAULT_TABLE]);
}

/** The refusal of a cluster's API server, as the kernel has it. */
export async function observeRefusal(tools: FabricTools, cluster: ClusterPlan): Promise<Refusal | undefined> {
  const listing = await runThere(tools, cluster, ['nft', 'list', 'table', 'inet', FAULT_TABLE]);
  const scope = /comment "(all|wan)"/.exec(listing)?.[1];
  if (scope === undefined) return undefined;
  return { kind: 'refused', target: `control-plane.${cluster.name}`, ...(scope === 'wan' ? { only: 'wan' } : {}) };
}
