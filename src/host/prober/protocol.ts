/**
 * What the prober is told and what it says. `probe serve` answers on one port, TCP and UDP; `probe send` reads an order
 * (one line of JSON) and prints one line of JSON for each target.
 *
 * TCP: the client sends a line of JSON (`TcpAsk`) and `up` bytes; the server answers with a line (`TcpAnswer`) and `down`
 * bytes. UDP: a datagram is echoed as it came; it begins with the magic, the session (8 bytes) and its number (4 bytes).
 */

/** Where `probe serve` of a test pod answers. */
export const PROBER_PORT = 12_800;

/** What is tried with one target; what is left out is not tried. */
export interface ProbeTarget {
  readonly id: string;
  /** IPv4. */
  readonly address: string;
  /** The local address to send from. */
  readonly source?: string;
  /** Echo requests; `bytes` is the size of the IPv4 packet, 84 when not given. */
  readonly icmp?: { readonly count: number; readonly bytes?: number };
  /** Finds the largest packet that arrives whole, up to this size; default: what the first link takes. */
  readonly pathMtu?: { readonly maxBytes?: number };
  readonly tcp?: { readonly port: number; readonly upBytes: number; readonly downBytes: number };
  /** Bursts of datagrams; `bytes` is the size of the IPv4 packet. */
  readonly udp?: {
    readonly port: number;
    readonly bursts: readonly { readonly bytes: number; readonly count: number }[];
    /** Asks the server over TCP what has arrived; without it only echoes are counted. */
    readonly ask: boolean;
  };
}

/** An order for `probe send`. */
export interface ProbeOrder {
  readonly targets: readonly ProbeTarget[];
  /** Longest wait for one answer. */
  readonly timeoutMs: number;
}

export interface IcmpReport {
  readonly sent: number;
  readonly received: number;
  readonly rttMs: number | null;
  /** What the last failure said; '' when all were answered. */
  readonly failure: string;
}

export interface PathMtuReport {
  /** The largest size that was tried; with header, don't-fragment bit set. */
  readonly triedBytes: number;
  /** The largest packet that was answered; null when none was. */
  readonly largestBytes: number | null;
  /** What a router, or this node, said the path carries; null when nobody said anything. */
  readonly toldBytes: number | null;
  /** Larger ones vanish without a word. */
  readonly blackHole: boolean;
}

export interface TcpReport {
  readonly ok: boolean;
  /** Time of the handshake; null when there was none. */
  readonly connectMs: number | null;
  /** The address the server saw; '' when it did not say. */
  readonly clientIP: string;
  /** Bytes the server has got, and we from it. */
  readonly upBytes: number;
  readonly downBytes: number;
  readonly failure: string;
}

export interface UdpReport {
  readonly bursts: readonly {
    readonly bytes: number;
    readonly sent: number;
    /** How many the server has got; null when it could not be asked. */
    readonly there: number | null;
    /** How many came back. */
    readonly back: number;
  }[];
  /** The address the server saw; '' when it did not say. */
  readonly clientIP: string;
  readonly failure: string;
}

/** What became of one target. */
export interface ProbeReport {
  readonly id: string;
  readonly icmp?: IcmpReport;
  readonly pathMtu?: PathMtuReport;
  readonly tcp?: TcpReport;
  readonly udp?: UdpReport;
}

/** UDP packets to a port, of one size (that of the IPv4 packet), seen at one place of a node. */
export interface CountRule {
  /** Letters, digits and dashes. */
  readonly id: string;
  /** prerouting: before all filters; input: after those for the node itself; postrouting: after all, on the way out. */
  readonly hook: 'prerouting' | 'input' | 'postrouting';
  readonly port: number;
  readonly bytes: number;
}

/** An order for `probe count`. */
export interface CountOrder {
  readonly rules: readonly CountRule[];
}

/** Datagrams from a port to a port elsewhere. */
export interface MeetSend {
  /** Number of the way, below 2^31; the same at both ends. */
  readonly way: number;
  /** Where they leave from. */
  readonly local: number;
  readonly port: number;
  /** IPv4. */
  readonly address: string;
  /** Size of the IPv4 packet. */
  readonly bytes: number;
}

/** An order for `probe meet`. */
export interface MeetOrder {
  /** The same for all that meet: 16 hexadecimal digits. */
  readonly session: string;
  /** Local UDP ports to take. */
  readonly ports: readonly number[];
  readonly sends: readonly MeetSend[];
}

/** What a meeting gave at one end. */
export interface MeetReport {
  /** Ports that could not be had. */
  readonly taken: readonly { readonly port: number; readonly reason: string }[];
  /** Ways of others whose datagrams came here. */
  readonly heard: readonly number[];
  /** Own ways whose datagrams were answered. */
  readonly answered: readonly number[];
  /** Own ways on which nothing could be sent, as the kernel says. */
  readonly failures: readonly { readonly way: number; readonly reason: string }[];
}

/** Whether the kernel has something, and if not, in whose words. */
export interface Offer {
  readonly offered: boolean;
  readonly reason: string;
}

/** What the kernel of a node offers; printed by `probe kernel`. */
export interface KernelReport {
  readonly release: string;
  readonly vxlan: Offer;
  readonly wireguard: Offer;
  /** ESP with AES-GCM, and xfrm links. */
  readonly esp: Offer;
  readonly nftables: Offer;
  readonly tun: Offer;
}

/** First line of a TCP client. */
export interface TcpAsk {
  readonly up?: number;
  readonly down?: number;
  /** Asks what has arrived of a UDP session (hexadecimal). */
  readonly session?: string;
  /** The connection stays: each so many bytes are sent back as soon as they are complete. */
  readonly exchange?: number;
  /** The connection stays: everything is swallowed and counted for a run of this name. */
  readonly sink?: string;
  /** The connection stays: each line is a `MarkAsk`, answered by as many lines with a `Mark` of the run. */
  readonly marks?: string;
}

/** First line of the server. */
export interface TcpAnswer {
  readonly clientIP: string;
  /** Bytes got after the first line. */
  readonly received: number;
  /** Of the UDP session asked for: numbers of the datagrams that arrived, and from where. */
  readonly session?: { readonly numbers: readonly number[]; readonly clientIP: string } | undefined;
}

const MAGIC = Buffer.from('SBPR');
/** Bytes of a datagram before its padding. */
export const UDP_HEADER_BYTES = MAGIC.length + 8 + 4;
/** IPv4 without options, and UDP. */
const LOWER_HEADERS_BYTES = 28;

/** A datagram of a session whose IPv4 packet has `bytes` bytes. */
export function renderDatagram(session: string, number: number, bytes: number): Buffer {
  const datagram = Buffer.alloc(Math.max(bytes - LOWER_HEADERS_BYTES, UDP_HEADER_BYTES));
  MAGIC.copy(datagram);
  Buffer.from(session, 'hex').copy(datagram, MAGIC.length, 0, 8);
  datagram.writeUInt32BE(number, MAGIC.length + 8);
  return datagram;
}

/** Session and number of a datagram; undefined for one that is not of a prober. */
export function parseDatagram(datagram: Buffer): { readonly session: string; readonly number: number } | undefined {
  if (datagram.length < UDP_HEADER_BYTES || !datagram.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const session = datagram.subarray(MAGIC.length, MAGIC.length + 8).toString('hex');
  return { session, number: datagram.readUInt32BE(MAGIC.length + 8) };
}

/** Reads what `probe send` printed: one report a line; other lines are left out. */
export function parseReports(text: string): readonly ProbeReport[] {
  return text.split('\n').flatMap((line) => {
    try {
      const parsed: unknown = JSON.parse(line);
      return typeof parsed === 'object' && parsed !== null && 'id' in parsed ? [parsed as ProbeReport] : [];
    } catch {
      return [];
    }
  });
}
