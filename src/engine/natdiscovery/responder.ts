import { RESPONSE, type EndpointDetails, type IpPort, type NatRequest, type NatResponse } from './messages.ts';

/** Who answers. */
export interface Responder {
  readonly self: EndpointDetails;
  /** private_ip of the local Endpoint. */
  readonly privateIp: string;
}

const NOBODY: EndpointDetails = { clusterId: '', endpointId: '' };

/**
 * The answer to a request that arrived from `from`, as upstream's responder gives it. Sender and receiver are always
 * there, also in refusals: some peers cannot bear their absence.
 */
export function answerRequest(request: NatRequest, from: IpPort, { self, privateIp }: Responder): NatResponse {
  const { requestNumber, sender, receiver, usingSrc, usingDst } = request;
  const base = {
    kind: 'response',
    requestNumber,
    sender: self,
    receiver: sender ?? NOBODY,
    receivedSrc: from,
    srcIpNatDetected: false,
    srcPortNatDetected: false,
    dstIpNatDetected: false,
  } as const;
  if (sender === undefined || receiver === undefined || usingSrc === undefined || usingDst === undefined)
    return { ...base, response: RESPONSE.malformed };
  if (receiver.clusterId !== self.clusterId) return { ...base, response: RESPONSE.unknownDstCluster };
  if (receiver.endpointId !== self.endpointId) return { ...base, response: RESPONSE.unknownDstEndpoint };
  return { ...base, ...detectNat(usingSrc, usingDst, from, privateIp) };
}

function detectNat(
  usingSrc: IpPort,
  usingDst: IpPort,
  from: IpPort,
  privateIp: string,
): Pick<NatResponse, 'response' | 'srcIpNatDetected' | 'srcPortNatDetected' | 'dstIpNatDetected'> {
  const srcIpNatDetected = usingSrc.ip !== '' && usingSrc.ip !== from.ip;
  const srcPortNatDetected = usingSrc.port !== from.port;
  const dstIpNatDetected = usingDst.ip !== privateIp;
  const nat = srcIpNatDetected || srcPortNatDetected || dstIpNatDetected;
  return {
    response: nat ? RESPONSE.natDetected : RESPONSE.ok,
    srcIpNatDetected,
    srcPortNatDetected,
    dstIpNatDetected,
  };
}
