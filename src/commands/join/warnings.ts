import type { CommandRun } from '../context.ts';
import type { BrokerView } from './brokerview.ts';
import { cableDriverName } from './configuration.ts';
import { plannedChange, tellPlannedChange } from './driverchange.ts';
import type { JoinOptions } from './options.ts';

/** Says when another cable driver comes into use; warns when it is one that others do not have, which may not be meant. */
export function warnAboutDrivers(
  run: CommandRun,
  view: BrokerView,
  { clusterId, options }: { readonly clusterId: string; readonly options: JoinOptions },
): void {
  const driver = cableDriverName(options.cableDriver);
  const change = options.cableDriverChange === 'now' ? undefined : plannedChange(view, clusterId, driver);
  if (change !== undefined) {
    tellPlannedChange(run, change);
    return;
  }
  const different = otherDrivers(view, clusterId, driver);
  if (different.length === 0) return;
  run.reporter.warn(
    `no tunnels between cable driver ${driver} of this cluster and ${different.join(', ')}: join all with the same --cable-driver`,
  );
}

/** `<driver> of <cluster>` for every other cluster with another driver. */
export function otherDrivers(view: BrokerView, clusterId: string, driver: string): readonly string[] {
  const found = view.endpoints.filter(({ spec }) => spec.cluster_id !== clusterId && spec.backend !== driver);
  return [...new Set(found.map(({ spec }) => `${spec.backend} of ${spec.cluster_id}`))].toSorted();
}

/** Warns of everything that is accepted and recorded, but not deployed by this version. */
export function warnAboutParts({ reporter }: CommandRun, view: BrokerView, options: JoinOptions): void {
  if (view.globalnetEnabled && options.globalnet) {
    reporter.warn(
      'the broker offers global addresses, which this version does not use: the cluster announces its own CIDRs',
    );
  }
  const flags = partsWithoutEffect(options);
  if (flags.length === 0) return;
  reporter.warn(`recorded, without effect in this version: ${flags.join(', ')}`);
}

/** The flags that were given for parts this version does not deploy. */
export function partsWithoutEffect(options: JoinOptions): readonly string[] {
  const flags: readonly (readonly [string, boolean])[] = [
    ['--globalnet-cidr', (options.globalnetCidr ?? '') !== ''],
    ['--globalnet-cluster-size', options.globalnetClusterSize !== undefined],
    ['--custom-domains', options.customDomains !== undefined],
    ['--coredns-custom-configmap', options.corednsCustomConfigmap !== undefined],
    ['--clusterset-ip-cidr', options.clustersetIpCidr !== undefined],
    ['--enable-clusterset-ip', options.enableClustersetIp],
    ['--load-balancer', options.loadBalancer],
  ];
  return flags.filter(([, isGiven]) => isGiven).map(([flag]) => flag);
}
