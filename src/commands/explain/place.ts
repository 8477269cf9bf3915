import { isIpAddress } from '../../net/cidr.ts';
import { UsageError } from '../../runtime/errors.ts';

/** One end of a way as the operator writes it. */
export interface PlaceText {
  /** Undefined: any cluster that has it. */
  readonly cluster: string | undefined;
  readonly kind: 'pod' | 'node' | 'service' | 'address';
  readonly namespace: string;
  /** Of the object, or the address itself. */
  readonly name: string;
  readonly text: string;
}

const KINDS: Readonly<Record<string, PlaceText['kind']>> = {
  pod: 'pod',
  po: 'pod',
  node: 'node',
  no: 'node',
  service: 'service',
  svc: 'service',
};

const HINT =
  'Give [CLUSTER:]pod/[NAMESPACE/]NAME, [CLUSTER:]service/[NAMESPACE/]NAME, [CLUSTER:]node/NAME or [CLUSTER:]ADDRESS, such as east:pod/default/client; CLUSTER is a context or a cluster ID.';

type Groups = Readonly<Record<string, string | undefined>>;

function objectPlace({ cluster, kind = '', rest = '' }: Groups, text: string): PlaceText | undefined {
  const parts = rest.split('/');
  const [name = '', namespace = 'default'] = parts.toReversed();
  const known = KINDS[kind] ?? 'pod';
  const isWhole = parts.length <= (known === 'node' ? 1 : 2) && !parts.includes('');
  return isWhole ? { cluster, kind: known, namespace, name, text } : undefined;
}

function addressPlace({ cluster, address = '' }: Groups, text: string): PlaceText | undefined {
  return isIpAddress(address) ? { cluster, kind: 'address', namespace: '', name: address, text } : undefined;
}

/** Reads one end; throws UsageError for anything else. */
export function parsePlace(text: string): PlaceText {
  const object = /^(?:(?<cluster>.+?):)?(?<kind>pod|po|node|no|service|svc)\/(?<rest>[^:]+)$/.exec(text)?.groups;
  const address = /^(?:(?<cluster>.+):)?(?<address>[\d.]+)$/.exec(text)?.groups;
  const place =
    (object === undefined ? undefined : objectPlace(object, text)) ??
    (address === undefined ? undefined : addressPlace(address, text));
  if (place !== undefined) return place;
  throw new UsageError(`"${text}" is no place a packet could come from or go to`, { hint: HINT });
}
