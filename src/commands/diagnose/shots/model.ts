/** A node that sends or gets UDP packets. */
export interface ShotEnd {
  readonly cluster: string;
  readonly node: string;
  /** Where packets to it are sent. */
  readonly address: string;
}

/** UDP packets of one size to one port, counted wherever they pass. */
export interface Shot {
  readonly id: string;
  readonly purpose: 'overlay' | 'tunnel' | 'standby tunnel' | 'NAT discovery';
  readonly from: ShotEnd;
  readonly to: ShotEnd;
  readonly port: number;
  /** Size of the IPv4 packets, by which they are told from others. */
  readonly bytes: number;
}

/** What became of them; null where it could not be counted. */
export interface ShotResult {
  readonly shot: Shot;
  readonly sent: number;
  /** Left the sender, after its filters. */
  readonly left: number | null;
  /** Came to the receiver, before its filters. */
  readonly arrived: number | null;
  /** Passed the filters of the receiver. */
  readonly accepted: number | null;
  readonly failure: string;
}
