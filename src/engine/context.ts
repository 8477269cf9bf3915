import type { Gateway } from '../api/types.ts';
import type { OverlayUse } from '../host/overlayuse.ts';
import type { PingWatcher } from '../host/ping.ts';
import type { UdpSocket } from '../host/udp.ts';
import type { KubeClient, KubeObject } from '../kube/client.ts';
import type { EventRecorder } from '../kube/events.ts';
import type { LeaseElector } from '../kube/lease.ts';
import type { ElectionRules } from '../kube/leaseoptions.ts';
import type { Mirror } from '../kube/mirror.ts';
import type { Node } from '../kube/objects.ts';
import type { Store } from '../kube/store.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { ReconcileLoop } from '../runtime/loop.ts';
import type { Availability } from './availability.ts';
import type { Remotes } from './cables.ts';
import type { EngineConfig } from './config.ts';
import type { BrokerCredential } from './credential.ts';
import type { PresharedKeys } from './drivers/dependencies.ts';
import type { DriverChoice } from './driverchoice.ts';
import type { GatewayPulse } from './ha/pulse.ts';
import type { HeadStart } from './headstart.ts';
import type { HealthCheck } from './healthcheck.ts';
import type { KeyRing } from './keyring.ts';
import type { LocalGatewayOptions, LocalObserver, NodeFacts } from './local.ts';
import type { DecisionMemory } from './natdiscovery/memory.ts';
import type { NatDiscovery } from './natdiscovery/service.ts';
import type { PublicIpSources } from './publicip.ts';

/** The caches the engine looks at; all of the local API server, namespace of the operator. */
export interface EngineStores {
  readonly endpoints: Store<KubeObject>;
  readonly gateways: Store<Gateway & KubeObject>;
  /** Only the own Node. */
  readonly nodes: Store<Node>;
}

/** Told what the engine is about, for its endpoints. */
export interface EngineWatcher {
  started(state: EngineState, loops: readonly ReconcileLoop[]): void;
  /** What the own Gateway is to say from now on. */
  reported(gateway: Gateway): void;
}

/** Everything the engine uses, wired in main.ts. */
export interface EngineDependencies {
  readonly config: EngineConfig;
  readonly version: string;
  readonly client: KubeClient;
  readonly stores: EngineStores;
  readonly elector: LeaseElector;
  /** Exchanges Endpoints and Clusters with the broker. */
  readonly mirror: Mirror;
  /** The pre-shared keys, where they can change. */
  readonly keyRing?: Pick<KeyRing, 'current' | 'onChange'>;
  /** What the mirror shows itself to the broker with. */
  readonly credential?: Pick<BrokerCredential, 'problem'>;
  readonly createDriver: LocalGatewayOptions['createDriver'];
  /** Which driver ran on this node last. */
  readonly former?: LocalGatewayOptions['former'];
  /** As DriverChoice takes it. */
  readonly steadyMs?: number;
  /** Calls back when somebody changed the network of the node, until the engine is stopped; never rejects. */
  readonly watchKernel: (onChange: () => void) => Promise<void>;
  readonly facts: NodeFacts;
  /** How the overlay of the own cluster is used on this node; undefined where that is not known. */
  readonly overlayUse?: () => OverlayUse | undefined;
  readonly publicIp: PublicIpSources;
  readonly ping: PingWatcher;
  readonly openSocket: (port: number) => Promise<UdpSocket>;
  readonly randomNumber: () => bigint;
  readonly randomBytes: (count: number) => Buffer;
  /** Tells of changes of the active gateway. */
  readonly events: EventRecorder;
  /** The election goes by these rules from now on. */
  readonly onElection: (rules: ElectionRules) => void;
  readonly memory: DecisionMemory;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly watcher?: EngineWatcher;
}

/** What the loops of one engine share; each field has one writer. */
export interface EngineState {
  readonly local: LocalObserver;
  readonly nat: NatDiscovery;
  readonly health: HealthCheck;
  readonly pulse: GatewayPulse;
  readonly choice: DriverChoice;
  readonly availability: Availability;
  /** Monotonic milliseconds. */
  readonly startedMs: number;
  /** Why the node could not be looked at; written by the loop of the local gateway. */
  localFailure: string | undefined;
  /** What was announced of the other gateways of this cluster, as text; written when they change. */
  gatewaysSeen: string;
  /** Written by the cables loop. */
  remotes: Remotes;
  /** Names of the cables the driver was told to make (it says itself what failed), or that were found and left alone. */
  cabled: ReadonlySet<string>;
  cableFailure: string | undefined;
  readonly headStart: HeadStart;
  /** The role the own pod was labelled with, and when; written by the publish loop. */
  labelled: { readonly active: boolean | undefined; readonly atMs: number };
  /** The keys that tunnels and beats have; written by the cables loop. */
  keysInForce: PresharedKeys | undefined;
  /** Monotonic milliseconds; written by the status loop. */
  brokerAwaySinceMs: number | undefined;
}
