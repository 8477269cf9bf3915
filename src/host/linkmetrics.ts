import type { NodeLink } from '../net/nodenetwork.ts';
import type { Metric } from '../runtime/metrics.ts';

const FIELDS = [
  ['submariner_link_receive_bytes_total', 'rxBytes', 'Bytes received over a link of the daemon.'],
  ['submariner_link_transmit_bytes_total', 'txBytes', 'Bytes sent over a link of the daemon.'],
  ['submariner_link_receive_dropped_total', 'rxDropped', 'Received packets a link of the daemon dropped.'],
  ['submariner_link_transmit_dropped_total', 'txDropped', 'Packets to be sent that a link of the daemon dropped.'],
] as const;

/** Traffic of the named links, as the kernel counts it since the link was made. */
export function linkMetrics(links: readonly NodeLink[], names: readonly string[]): readonly Metric[] {
  const own = links.filter(({ name }) => names.includes(name));
  return [
    ...FIELDS.map(([name, field, help]): Metric => ({
      name,
      type: 'counter',
      help,
      samples: own.map((link) => ({ labels: { link: link.name }, value: link[field] })),
    })),
    {
      name: 'submariner_link_up',
      type: 'gauge',
      help: 'Whether a link of the daemon is up.',
      samples: own.map((link) => ({ labels: { link: link.name }, value: Number(link.up) })),
    },
  ];
}
