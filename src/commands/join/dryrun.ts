import { BROKER_SECRET, GATEWAY_LABEL, PSK_SECRET } from '../../api/names.ts';
import type { KubeObject } from '../../kube/client.ts';
import type { Secret } from '../../kube/objects.ts';
import type { CommandRun } from '../context.ts';
import { printManifests } from '../report.ts';
import { showChanges } from './changes.ts';
import { type Part, parseIncluded } from './included.ts';
import type { JoinPlan } from './preflight.ts';

/** What a dry run can print. */
export interface Printable {
  readonly manifests: readonly KubeObject[];
  /** Makes the credentials on the broker when they are wanted. */
  readonly secrets: () => Promise<readonly Secret[]>;
}

/** Prints the manifests of a join, with what --include asks for, and tells what is missing from them. */
export async function dryRun(run: CommandRun, plan: JoinPlan, { manifests, secrets }: Printable): Promise<void> {
  const { settings, gatewayNodes, label, changes } = plan;
  const parts = parseIncluded(settings.options);
  const objects = [
    ...manifests,
    ...(parts.has('nodes') ? gatewayNodes.map(gatewayNode) : []),
    ...(parts.has('secrets') ? await secrets() : []),
  ];
  await printManifests(
    run,
    objects,
    parts.has('secrets') ? 'the ID is claimed on the broker, nothing else was changed' : 'nothing was changed',
  );
  const { reporter } = run;
  reporter.info(
    `   gateway nodes: ${gatewayNodes.join(', ') || 'none'}; to be labelled: ${label.join(', ') || 'none'}`,
  );
  for (const line of advice(parts, plan)) reporter.info(`   ${line}`);
  showChanges(run, settings.clusterId, changes);
}

function advice(parts: ReadonlySet<Part>, { gatewayNodes, claimant }: JoinPlan): readonly string[] {
  const missing = [
    ...(parts.has('secrets') ? [] : [`Secrets ${BROKER_SECRET} and ${PSK_SECRET} (--include secrets)`]),
    ...(parts.has('nodes') || gatewayNodes.length === 0
      ? []
      : [`label ${GATEWAY_LABEL}=true of gateway nodes (--include nodes)`]),
  ];
  return [
    ...(missing.length === 0
      ? []
      : [`left out, because it does not belong into Git: ${missing.join('; ')}; join itself makes it, too`]),
    ...(parts.has('secrets') ? ['keep these manifests secret'] : []),
    ...(parts.has('nodes')
      ? ['kubectl delete -f would delete the nodes: take the cluster out with subctl uninstall']
      : []),
    ...(claimant.joinedBefore
      ? []
      : ['in a new cluster kubectl has to apply twice: the first time it does not know Submariner objects yet']),
  ];
}

function gatewayNode(name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, labels: { [GATEWAY_LABEL]: 'true' } } };
}
