import { messageField, readFields, textField, varintField, type WireField } from '../../net/protobufwire.ts';

/** EndpointDetails of upstream's natdiscovery.proto: a cluster ID and a cable name. */
export interface EndpointDetails {
  readonly clusterId: string;
  readonly endpointId: string;
}

/** IPPortPair. */
export interface IpPort {
  readonly ip: string;
  readonly port: number;
}

export interface NatRequest {
  readonly kind: 'request';
  /** 64 bits, unsigned. */
  readonly requestNumber: bigint;
  readonly sender?: EndpointDetails;
  readonly receiver?: EndpointDetails;
  readonly usingSrc?: IpPort;
  readonly usingDst?: IpPort;
}

/** ResponseType; other numbers may arrive from newer peers. */
export const RESPONSE = {
  ok: 0,
  natDetected: 1,
  unknownDstCluster: 2,
  unknownDstEndpoint: 3,
  malformed: 4,
} as const;

export interface NatResponse {
  readonly kind: 'response';
  readonly requestNumber: bigint;
  /** One of RESPONSE. */
  readonly response: number;
  readonly sender?: EndpointDetails;
  readonly receiver?: EndpointDetails;
  readonly srcIpNatDetected: boolean;
  readonly srcPortNatDetected: boolean;
  readonly dstIpNatDetected: boolean;
  readonly receivedSrc?: IpPort;
}

export type NatMessage = NatRequest | NatResponse;

const REQUEST_VERSION = 1;

/** The datagram of a message (SubmarinerNATDiscoveryMessage, proto3); requests carry version 1, responses none. */
export function encodeNatMessage(message: NatMessage): Buffer {
  return message.kind === 'request'
    ? Buffer.concat([varintField(1, REQUEST_VERSION), messageField(2, encodeRequest(message))])
    : messageField(3, encodeResponse(message));
}

function encodeRequest(request: NatRequest): Buffer {
  return Buffer.concat([
    varintField(1, request.requestNumber),
    messageField(2, encodeDetails(request.sender)),
    messageField(3, encodeDetails(request.receiver)),
    messageField(4, encodeIpPort(request.usingSrc)),
    messageField(5, encodeIpPort(request.usingDst)),
  ]);
}

function encodeResponse(response: NatResponse): Buffer {
  return Buffer.concat([
    varintField(1, response.requestNumber),
    varintField(2, response.response),
    messageField(3, encodeDetails(response.sender)),
    messageField(4, encodeDetails(response.receiver)),
    varintField(5, response.srcIpNatDetected),
    varintField(6, response.srcPortNatDetected),
    varintField(7, response.dstIpNatDetected),
    messageField(8, encodeIpPort(response.receivedSrc)),
  ]);
}

function encodeDetails(details: EndpointDetails | undefined): Buffer | undefined {
  if (details === undefined) return undefined;
  return Buffer.concat([textField(1, details.clusterId), textField(2, details.endpointId)]);
}

function encodeIpPort(pair: IpPort | undefined): Buffer | undefined {
  if (pair === undefined) return undefined;
  return Buffer.concat([textField(1, pair.ip), varintField(2, pair.port)]);
}

/** The message in a datagram; unknown fields are skipped, undefined when it is none of ours. Never throws. */
export function decodeNatMessage(datagram: Uint8Array): NatMessage | undefined {
  const fields = datagram.length === 0 ? undefined : readFields(datagram);
  const body = fields?.findLast(({ number }) => number === 2 || number === 3);
  if (body?.bytes === undefined) return undefined;
  const inner = readFields(body.bytes);
  if (inner === undefined) return undefined;
  return body.number === 2 ? decodeRequest(inner) : decodeResponse(inner);
}

function decodeRequest(fields: readonly WireField[]): NatRequest | undefined {
  const [sender, receiver] = [details(fields, 2), details(fields, 3)];
  const [usingSrc, usingDst] = [ipPort(fields, 4), ipPort(fields, 5)];
  if ([sender, receiver, usingSrc, usingDst].includes('junk')) return undefined;
  return {
    kind: 'request',
    requestNumber: number64(fields, 1),
    ...given('sender', sender),
    ...given('receiver', receiver),
    ...given('usingSrc', usingSrc),
    ...given('usingDst', usingDst),
  };
}

function decodeResponse(fields: readonly WireField[]): NatResponse | undefined {
  const [sender, receiver, receivedSrc] = [details(fields, 3), details(fields, 4), ipPort(fields, 8)];
  if ([sender, receiver, receivedSrc].includes('junk')) return undefined;
  return {
    kind: 'response',
    requestNumber: number64(fields, 1),
    response: number32(fields, 2),
    ...given('sender', sender),
    ...given('receiver', receiver),
    srcIpNatDetected: number64(fields, 5) !== 0n,
    srcPortNatDetected: number64(fields, 6) !== 0n,
    dstIpNatDetected: number64(fields, 7) !== 0n,
    ...given('receivedSrc', receivedSrc),
  };
}

function given<K extends string, T extends object>(key: K, value: T | 'junk' | undefined): { readonly [P in K]?: T } {
  return (value === undefined || value === 'junk' ? {} : { [key]: value }) as { readonly [P in K]?: T };
}

function last(fields: readonly WireField[], number: number): WireField | undefined {
  return fields.findLast((field) => field.number === number);
}

function number64(fields: readonly WireField[], number: number): bigint {
  return last(fields, number)?.varint ?? 0n;
}

function number32(fields: readonly WireField[], number: number): number {
  return Number(BigInt.asIntN(32, number64(fields, number)));
}

/** Absent, a submessage's fields, or junk. */
function submessage(fields: readonly WireField[], number: number): readonly WireField[] | 'junk' | undefined {
  const field = last(fields, number);
  if (field === undefined) return undefined;
  return (field.bytes === undefined ? undefined : readFields(field.bytes)) ?? 'junk';
}

function details(fields: readonly WireField[], number: number): EndpointDetails | 'junk' | undefined {
  const inner = submessage(fields, number);
  if (inner === undefined || inner === 'junk') return inner;
  const [clusterId, endpointId] = [text(inner, 1), text(inner, 2)];
  return clusterId === undefined || endpointId === undefined ? 'junk' : { clusterId, endpointId };
}

function ipPort(fields: readonly WireField[], number: number): IpPort | 'junk' | undefined {
  const inner = submessage(fields, number);
  if (inner === undefined || inner === 'junk') return inner;
  const ip = text(inner, 1);
  return ip === undefined ? 'junk' : { ip, port: number32(inner, 2) };
}

/** '' when the field is absent; undefined when it is not UTF-8. */
function text(fields: readonly WireField[], number: number): string | undefined {
  const field = last(fields, number);
  if (field === undefined) return '';
  try {
    return field.bytes === undefined ? undefined : new TextDecoder('utf-8', { fatal: true }).decode(field.bytes);
  } catch {
    return undefined;
  }
}
