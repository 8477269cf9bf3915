/** How one charon is set up. */
export interface CharonSettings {
  /** `userland`: ESP in charon itself, through a tun link; `kernel`: XFRM. */
  readonly esp: 'kernel' | 'userland';
  readonly viciSocket: string;
  readonly logFile: string;
  /** UDP port of IKE and ESP in UDP, with the non-ESP marker of RFC 3948. */
  readonly udpPort: number;
  /** Route table of its own, for userland ESP. */
  readonly table: number;
  /** Seconds until the first retransmission; each further one waits 1.5 times as long. */
  readonly retransmitTimeoutSeconds: number;
  /** Retransmissions before the peer counts as dead. */
  readonly retransmitTries: number;
  /** Log what is decided and exchanged, never secrets. */
  readonly debug: boolean;
}

/** Packets of charon itself carry this mark in userland mode, so that they never enter the tunnel they make. */
export const OWN_MARK = '0x42';

/** Table of the routes that kernel-libipsec insists on making itself; of a second charon, the next one. */
export const CHARON_TABLE = 220;

/**
 * After the main table (32766), where such a route decides nothing: table 100 knows which cable carries, and the pods of a
 * standby are not to leave by its own cable.
 */
const CHARON_TABLE_PRIORITY = 40_000;

function espPlugins(esp: CharonSettings['esp']): readonly string[] {
  if (esp === 'kernel') return [];
  return [
    '    kernel-libipsec {',
    '      allow_peer_ts = yes',
    '    }',
    '    socket-default {',
    `      fwmark = ${OWN_MARK}`,
    '    }',
  ];
}

/**
 * strongswan.conf(5) of a charon that is only driven over VICI. Only `udpPort` is used: the peers of a cable agree on
 * one port, and charon's other port is left to chance. 16 threads are the least: kernel-libipsec keeps nine busy.
 */
export function renderCharonConf(settings: CharonSettings): string {
  const { esp, viciSocket, logFile, udpPort, table, retransmitTimeoutSeconds, retransmitTries, debug } = settings;
  const libipsec = esp === 'userland' ? 'kernel-libipsec ' : '';
  const netlinkMark = esp === 'userland' ? [`      fwmark = !${OWN_MARK}`] : [];
  const lines = [
    // A charon that knows no xfrm links has another configuration, so that it is not adopted.
    ...(esp === 'kernel' ? ['# ESP of the kernel, behind xfrm links'] : []),
    'charon {',
    `  load = random nonce openssl pem pkcs1 x509 pubkey hmac kdf gcm ${libipsec}kernel-netlink socket-default vici`,
    '  threads = 16',
    '  port = 0',
    `  port_nat_t = ${udpPort}`,
    '  install_routes = no',
    `  routing_table = ${esp === 'userland' ? table : 0}`,
    `  routing_table_prio = ${CHARON_TABLE_PRIORITY}`,
    '  install_virtual_ip = no',
    `  retransmit_timeout = ${retransmitTimeoutSeconds}`,
    '  retransmit_base = 1.5',
    `  retransmit_tries = ${retransmitTries}`,
    '  plugins {',
    '    vici {',
    `      socket = unix://${viciSocket}`,
    '    }',
    '    kernel-netlink {',
    '      roam_events = no',
    ...netlinkMark,
    '    }',
    ...espPlugins(esp),
    '  }',
    '  filelog {',
    '    submariner {',
    `      path = ${logFile}`,
    `      default = ${debug ? 2 : 1}`,
    '      append = no',
    '      ike_name = yes',
    '      flush_line = yes',
    '      time_format = %Y-%m-%dT%H:%M:%S',
    '    }',
    '  }',
    '}',
  ];
  return `${lines.join('\n')}\n`;
}

/** Whether a charon set up in one way can be told to go on in the other: they differ in how much is logged. */
export function onlyLogsDiffer(a: string, b: string): boolean {
  const rest = (conf: string): string => conf.replace(/^ +default = \d+$/m, '');
  return a !== b && rest(a) === rest(b);
}
