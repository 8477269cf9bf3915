import { DRIVER_CHANGE_ANNOTATION, type PendingChange } from '../api/driverchange.ts';
import { CABLE_DRIVER_ANNOTATION, validName } from '../api/names.ts';
import { type KeysInForce, PSK_ANNOTATION } from '../api/psk.ts';
import { AVAILABILITY_ANNOTATION, type Availability } from '../api/availability.ts';
import type { Connection, ConnectionStatus, EndpointSpec, Gateway } from '../api/types.ts';
import type { Remote, Remotes } from './cables.ts';
import type { ObservedCable } from './drivers/driver.ts';
import type { ProbeReport } from './healthcheck.ts';
import type { Decision } from './natdiscovery/discovery.ts';

/** All that a Gateway object is made of. */
export interface StatusInputs {
  readonly nodeName: string;
  readonly namespace: string;
  readonly version: string;
  readonly active: boolean;
  readonly localEndpoint: EndpointSpec;
  /** What keeps this gateway from working, in the operator's words. */
  readonly failures: readonly string[];
  /** Fingerprints of the pre-shared keys in force. */
  readonly keys?: KeysInForce | undefined;
  /** What is waited for before the driver changes. */
  readonly change?: PendingChange | undefined;
  readonly driverDescription: string | undefined;
  readonly remotes: Remotes;
  /** For each other cluster the cable_name of the gateway packets go to. */
  readonly uses: ReadonlyMap<string, string>;
  readonly availability: Availability;
  readonly decision: (cableName: string) => Decision | undefined;
  /** What driver.connections() said. */
  readonly observed: readonly ObservedCable[];
  readonly probe: (cableName: string) => ProbeReport | undefined;
}

/** The Gateway object as upstream writes it, without the time stamp. */
export function desiredGateway(inputs: StatusInputs): Gateway {
  const { nodeName, namespace, version, active, localEndpoint, failures, driverDescription } = inputs;
  return {
    apiVersion: 'submariner.io/v1',
    kind: 'Gateway',
    metadata: {
      name: validName(nodeName),
      namespace,
      annotations: {
        ...(driverDescription === undefined ? {} : { [CABLE_DRIVER_ANNOTATION]: driverDescription }),
        ...(inputs.keys === undefined ? {} : { [PSK_ANNOTATION]: JSON.stringify(inputs.keys) }),
        ...(inputs.change === undefined ? {} : { [DRIVER_CHANGE_ANNOTATION]: JSON.stringify(inputs.change) }),
        [AVAILABILITY_ANNOTATION]: JSON.stringify(inputs.availability),
      },
    },
    status: {
      version,
      haStatus: active ? 'active' : 'passive',
      localEndpoint,
      statusFailure: failures.join('; '),
      connections: active ? connections(inputs) : [],
    },
  };
}

function connections(inputs: StatusInputs): readonly Connection[] {
  const observed = new Map(inputs.observed.map((cable) => [cable.cableName, cable]));
  const inUse = inputs.remotes.accepted.filter(
    ({ spec, current }) => (inputs.uses.get(spec.cluster_id) ?? (current ? spec.cable_name : '')) === spec.cable_name,
  );
  const programmed = inUse.map((remote) =>
    connection(remote, {
      decision: inputs.decision(remote.spec.cable_name),
      observed: observed.get(remote.spec.cable_name),
      probe: inputs.probe(remote.spec.cable_name),
    }),
  );
  const refused = inputs.remotes.problems.map(({ spec, message }): Connection => ({
    status: 'error',
    statusMessage: message,
    endpoint: spec,
  }));
  return [...programmed, ...refused].sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
}

function sortKey({ endpoint }: Connection): string {
  return `${endpoint.cluster_id}/${endpoint.cable_name}`;
}

interface Seen {
  readonly decision: Decision | undefined;
  readonly observed: ObservedCable | undefined;
  readonly probe: ProbeReport | undefined;
}

function connection({ spec }: Remote, seen: Seen): Connection {
  const { decision, probe } = seen;
  return {
    ...judgeConnection(spec, seen),
    endpoint: spec,
    ...(decision === undefined ? {} : { usingIP: decision.usingIp, usingNAT: decision.usingNat }),
    ...(probe?.latency === undefined ? {} : { latencyRTT: probe.latency }),
  };
}

type Verdict = Pick<Connection, 'status' | 'statusMessage'>;

function verdict(status: ConnectionStatus, statusMessage: string): Verdict {
  return { status, statusMessage };
}

/**
 * What a connection is worth. Probes have the last word: silence is an error whatever the tunnel says, an answer is a
 * connection; before either, a tunnel is only being connected.
 */
function judgeConnection(spec: EndpointSpec, { decision, observed, probe }: Seen): Verdict {
  if (decision === undefined)
    return verdict('connecting', `asking ${spec.private_ip || spec.public_ip} how it is reached (NAT discovery)`);
  if (decision.usingIp === '') return verdict('error', 'its Endpoint has no address that can be used');
  if (observed === undefined) return verdict('connecting', 'there is no tunnel yet');
  if (probe === undefined) return verdict(observed.status, observed.message);
  if (probe.state === 'alive') return verdict('connected', '');
  if (probe.state === 'dead') return verdict('error', describeSilence(probe, observed));
  if (observed.status !== 'connected') return verdict(observed.status, observed.message);
  return verdict('connecting', `waiting for the first answer of ${probe.address} through the cable`);
}

function describeSilence({ address, silentSinceMs, failure }: ProbeReport, observed: ObservedCable): string {
  const since = silentSinceMs === undefined ? '' : ` since ${wholeSeconds(silentSinceMs)}`;
  const parts = [`no answer of ${address} to probes through the cable${since}`];
  if (failure !== undefined) parts.push(`ping says: ${failure}`);
  if (observed.status !== 'connected') parts.push(`the tunnel is ${observed.status}: ${observed.message}`);
  return parts.join('; ');
}

function wholeSeconds(ms: number): string {
  return new Date(Math.round(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z');
}

/** Whether two Gateways say the same but for round-trip times, which move all the time. */
export function sameGateway(a: Gateway, b: Gateway): boolean {
  return comparable(a) === comparable(b);
}

function comparable({ metadata, status }: Gateway): string {
  const connections = status.connections.map(({ latencyRTT, ...rest }) => ({
    ...rest,
    probed: latencyRTT !== undefined,
  }));
  return JSON.stringify([metadata.annotations ?? {}, { ...status, connections }]);
}
