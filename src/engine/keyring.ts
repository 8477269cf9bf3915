import { createHash } from 'node:crypto';
import { fingerprintOf, type KeysInForce } from '../api/psk.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Secret } from '../kube/objects.ts';
import { RESOURCES } from '../kube/resources.ts';
import { createStore, type Store } from '../kube/store.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { PresharedKeys } from './drivers/dependencies.ts';

export interface KeyRingOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** undefined: the key never changes. */
  readonly secretName: string | undefined;
  /** What was mounted when the process started: standard base64. */
  readonly psk: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The pre-shared keys of the set, as the local Secret has them now. */
export interface KeyRing {
  readonly current: PresharedKeys;
  onChange(listener: () => void): void;
  /** Runs until aborted; never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

/** Keys that are accepted besides the one in use: the next one, and the one before, while the set changes from one to the other. */
const ACCEPTED = ['psk-next', 'psk-previous'] as const;

/** A key ring that follows its Secret; what was mounted counts until that has been read, and when it holds no key. */
export function createKeyRing(options: KeyRingOptions): KeyRing {
  const { client, namespace, secretName, logger, clock, psk } = options;
  const initial: PresharedKeys = { used: psk, accepted: [] };
  if (secretName === undefined) return { current: initial, onChange: () => undefined, run: async () => undefined };
  const only = { namespace, logger, clock, fieldSelector: `metadata.name=${secretName}` };
  return new SecretKeyRing(createStore<Secret>(client, RESOURCES.secrets, only), initial, logger);
}

class SecretKeyRing implements KeyRing {
  readonly #store: Store<Secret>;
  readonly #logger: Logger;
  readonly #listeners = new Set<() => void>();
  #current: PresharedKeys;

  constructor(store: Store<Secret>, initial: PresharedKeys, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
    this.#current = initial;
    store.onChange(() => this.#look());
  }

  get current(): PresharedKeys {
    return this.#current;
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#store.run(signal);
  }

  #look(): void {
    const keys = keysIn(this.#store.list()[0]);
    if (keys === undefined || JSON.stringify(keys) === JSON.stringify(this.#current)) return;
    this.#current = keys;
    this.#logger.info('pre-shared keys', { ...fingerprints(keys) });
    for (const listener of this.#listeners) listener();
  }
}

function keysIn(secret: Secret | undefined): PresharedKeys | undefined {
  const { data = {} } = secret ?? {};
  const { psk = '' } = data;
  if (psk === '') return undefined;
  const accepted = ACCEPTED.flatMap((name) => data[name] ?? []).filter((key) => key !== '' && key !== psk);
  return { used: psk, accepted: [...new Set(accepted)] };
}

/** What may be told of keys. */
export function fingerprints({ used, accepted }: PresharedKeys): KeysInForce {
  const digest = (key: string): string =>
    fingerprintOf(createHash('sha256').update(Buffer.from(key, 'base64')).digest('hex'));
  return { used: digest(used), accepted: accepted.map(digest) };
}
