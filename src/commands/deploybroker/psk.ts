import { randomBytes } from 'node:crypto';
import { type BrokerInfo, brokerAccessOf, type InfoSecret, pskOf } from '../../api/brokerinfo.ts';
import { PSK_SECRET } from '../../api/names.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { pskFingerprint } from '../pskfingerprint.ts';

/** Upstream's length of a pre-shared key. */
const PSK_BYTES = 48;

/** Where the pre-shared key of a broker may come from. */
export interface PskSources {
  /** File of --ipsec-psk-from. */
  readonly given: { readonly file: string; readonly info: BrokerInfo } | undefined;
  /** The broker-info.subm that is about to be replaced. */
  readonly existing: { readonly file: string; readonly info: BrokerInfo } | undefined;
  /** What tells whether the existing file is for the same broker. */
  readonly broker: { readonly server: string; readonly namespace: string; readonly ca: string | undefined };
  /** IDs of clusters that have joined this broker, with whatever key they were given. */
  readonly joined: readonly string[];
  /** Fingerprint of the key that the broker handed out last; undefined when it has none yet, or is upstream's. */
  readonly recorded: string | undefined;
  /** --new-ipsec-psk */
  readonly allowNew: boolean;
}

/** The key to hand out and where it is from. */
export interface ChosenPsk {
  readonly psk: Buffer;
  readonly from: string;
}

/**
 * Chooses the key: the one of --ipsec-psk-from, else the one handed out before by the same broker, else a new one. Throws
 * ExpectedError when a new one would split the ClusterSet: clusters that joined with the old key would not connect, and
 * when the key of a file is not the one that this broker handed out.
 */
export function choosePsk(sources: PskSources, random: (size: number) => Buffer = randomBytes): ChosenPsk {
  const { given, joined, allowNew } = sources;
  if (given !== undefined) {
    const psk = pskOf(given.info);
    if (psk !== undefined) return recordedKey({ psk, from: given.file }, sources);
    throw new ExpectedError(`${given.file} holds no pre-shared key`, {
      hint: 'Give the broker-info.subm with which the other clusters joined.',
    });
  }
  const kept = allowNew ? undefined : keptPsk(sources);
  if (kept !== undefined) return recordedKey(kept, sources);
  if (joined.length > 0 && !allowNew) {
    throw new ExpectedError(
      `clusters have joined this broker already (${joined.join(', ')}), and their pre-shared key is not at hand: with a new one, clusters that join later could not connect to them`,
      {
        hint: 'Give the key with --ipsec-psk-from FILE, or get broker-info.subm from a joined cluster: subctl recover-broker-info --context CLUSTER. To start over with a new key: --new-ipsec-psk.',
      },
    );
  }
  return { psk: random(PSK_BYTES), from: 'new' };
}

/** The key itself, when it is the one the broker handed out or may be another one. */
function recordedKey(chosen: ChosenPsk, { recorded, allowNew }: PskSources): ChosenPsk {
  if (recorded === undefined || allowNew || recorded === pskFingerprint(chosen.psk)) return chosen;
  throw new ExpectedError(
    `the pre-shared key in ${chosen.from} is not the one of this broker: the file was edited or is from before the key was changed`,
    {
      hint: 'Move the file away and get the right one from a joined cluster: subctl recover-broker-info --context CLUSTER. To use this key from now on: --new-ipsec-psk --ipsec-psk-from FILE. Nothing was changed.',
    },
  );
}

/** The key in the file that is about to be replaced, when that file is for this broker. */
function keptPsk({ existing, broker }: PskSources): ChosenPsk | undefined {
  if (existing === undefined || !isSameBroker(existing.info, broker)) return undefined;
  const psk = pskOf(existing.info);
  return psk === undefined ? undefined : { psk, from: existing.file };
}

function isSameBroker(info: BrokerInfo, broker: PskSources['broker']): boolean {
  const access = brokerAccessOf(info);
  if (access.namespace !== broker.namespace) return false;
  if (access.ca !== undefined && broker.ca !== undefined && access.ca.trim() === broker.ca.trim()) return true;
  return access.server.replace(/\/+$/, '') === broker.server.replace(/\/+$/, '');
}

/** The Secret of the key as broker-info.subm carries it. */
export function pskSecret(psk: Buffer): InfoSecret {
  return { metadata: { name: PSK_SECRET, creationTimestamp: null }, data: { psk: psk.toString('base64') } };
}
