import type { Collector } from '../collector.ts';
import { brokerCollector } from './broker.ts';
import { cniCollector } from './cni.ts';
import { crdsCollector } from './crds.ts';
import { eventsCollector } from './events.ts';
import { leasesCollector } from './leases.ts';
import { logsCollector } from './logs.ts';
import { nodesCollector } from './nodes.ts';
import { podsCollector } from './pods.ts';
import { rbacCollector } from './rbac.ts';
import { servicesCollector } from './services.ts';
import { stateCollector } from './state.ts';
import { submarinerCollector } from './submariner.ts';
import { versionCollector } from './version.ts';
import { workloadsCollector } from './workloads.ts';

/** Everything that is gathered of a cluster; what is there for a short time only comes first. */
export const COLLECTORS: readonly Collector[] = [
  stateCollector,
  logsCollector,
  eventsCollector,
  leasesCollector,
  submarinerCollector,
  brokerCollector,
  podsCollector,
  nodesCollector,
  workloadsCollector,
  servicesCollector,
  cniCollector,
  rbacCollector,
  crdsCollector,
  versionCollector,
];
