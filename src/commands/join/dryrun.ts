import { BROKER_SECRET, GATEWAY_LABEL, PSK_SECRET } from '../../api/names.ts';
import type { KubeObject } from '../../kube/client.ts';
import type { Secret } from '../../kube/objects.ts';
import type { CommandRun } from '../context.ts';
import { renderStructured } from '../output.ts';
import { printManifests } from '../report.ts';
import { showChanges } from './changes.ts';
import { helmValues } from './helmvalues.ts';
import { type Part, parseIncluded } from './included.ts';
import { joinManifests } from './manifests.ts';
import type { JoinPlan } from './preflight.ts';

/** Prints the manifests of a join, or values for the chart, with what --include asks for, and tells what is missing from them. */
export async function dryRun(
  run: CommandRun,
  plan: JoinPlan,
  makeSecrets: () => Promise<readonly Secret[]>,
): Promise<void> {
  const { settings, gatewayNodes, label, changes } = plan;
  const parts = parseIncluded(settings.options);
  const secrets = parts.has('secrets') ? await makeSecrets() : [];
  const changed =
    secrets.length === 0 ? 'nothing was changed' : 'the ID is claimed on the broker, nothing else was changed';
  if (settings.options.helmValues) {
    const values = helmValues(settings, secrets);
    run.print(await renderStructured(values, run.flags.output === 'json' ? 'json' : 'yaml'));
    run.reporter.done(`Dry run: ${Object.keys(values).length} values, ${changed}`);
  } else {
    const manifests = joinManifests(run.context.templatesDir, settings);
    const nodes = parts.has('nodes') ? gatewayNodes.map(gatewayNode) : [];
    await printManifests(run, [...manifests, ...nodes, ...secrets], changed);
  }
  const { reporter } = run;
  const wanted = gatewayNodes.join(', ') || 'none';
  reporter.info(`   gateway nodes: ${wanted}; to be labelled: ${label.join(', ') || 'none'}`);
  for (const line of advice(parts, plan)) reporter.info(`   ${line}`);
  showChanges(run, settings.clusterId, changes);
}

function advice(parts: ReadonlySet<Part>, plan: JoinPlan): readonly string[] {
  const missing = leftOut(parts, plan);
  const { helmValues: forHelm } = plan.settings.options;
  const lines: readonly (readonly [boolean, string])[] = [
    [
      missing.length > 0,
      `left out, because it does not belong into Git: ${missing.join('; ')}; join itself makes it, too`,
    ],
    [parts.has('secrets'), 'keep this secret'],
    [parts.has('nodes'), 'kubectl delete -f would delete the nodes: take the cluster out with subctl uninstall'],
    [
      !plan.claimant.joinedBefore && !forHelm,
      'in a new cluster kubectl has to apply twice: the first time it does not know Submariner objects yet',
    ],
  ];
  return lines.filter(([holds]) => holds).map(([, text]) => text);
}

function leftOut(parts: ReadonlySet<Part>, { gatewayNodes, settings }: JoinPlan): readonly string[] {
  const how = settings.options.helmValues ? '' : ' (--include nodes)';
  return [
    ...(parts.has('secrets') ? [] : [`Secrets ${BROKER_SECRET} and ${PSK_SECRET} (--include secrets)`]),
    ...(parts.has('nodes') || gatewayNodes.length === 0 ? [] : [`label ${GATEWAY_LABEL}=true of gateway nodes${how}`]),
  ];
}

function gatewayNode(name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, labels: { [GATEWAY_LABEL]: 'true' } } };
}
