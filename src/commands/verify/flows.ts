import type { FlowOrder, FlowReport } from '../../host/prober/measurements.ts';
import { PROBER_PORT } from '../../host/prober/protocol.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { TestPod } from '../testpods/run.ts';
import { measure } from '../testpods/send.ts';

/** What became of traffic that ran all the while. */
export interface FlowResult {
  readonly from: string;
  readonly to: string;
  readonly protocol: 'udp' | 'tcp';
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly longestOutageMs: number;
  /** How often the TCP connection broke. */
  readonly reconnects: number;
  /** Why there are no figures; '' when there are. */
  readonly failure: string;
}

/** Traffic under way. */
export interface Flows {
  /** Ends the traffic and tells what became of it; never rejects. */
  stop(): Promise<readonly FlowResult[]>;
}

const INTERVAL_MS = 20;
const NOTHING = { sent: 0, received: 0, lost: 0, longestOutageMs: 0, reconnects: 0 } as const;

/** Starts UDP and TCP traffic between two pods, both ways; it ends by itself after `maxMs`. */
export function startFlows(a: TestPod, b: TestPod, maxMs: number, signal: AbortSignal): Flows {
  const end = Promise.withResolvers<string>();
  const ways = [
    [a, b],
    [b, a],
  ] as const;
  const flows = ways.flatMap(([from, to]) =>
    (['udp', 'tcp'] as const).map(async (protocol): Promise<FlowResult> => {
      const order: FlowOrder = { protocol, address: to.address, port: PROBER_PORT, intervalMs: INTERVAL_MS, maxMs };
      const mouth = { client: from.client, namespace: from.namespace, pod: from.name };
      const way = { from: from.clusterId, to: to.clusterId, protocol };
      try {
        const limits = { signal, timeoutMs: maxMs + 30_000, stdin: end.promise };
        const { sent, received, lost, longestOutageMs, reconnects } = (await measure(
          mouth,
          'flow',
          order,
          limits,
        )) as FlowReport;
        return { ...way, sent, received, lost, longestOutageMs, reconnects, failure: '' };
      } catch (error) {
        return { ...way, ...NOTHING, failure: messageOf(error) };
      }
    }),
  );
  return {
    stop: async () => {
      end.resolve('stop\n');
      return Promise.all(flows);
    },
  };
}
