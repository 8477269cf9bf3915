import { KubeConnectionError } from '../../src/kube/errors.ts';
import type { KubeObject, WatchEvent } from '../../src/kube/client.ts';
import type { FakeKube } from './kube.ts';

/** What a request over a cut link fails with. */
export const gone = new KubeConnectionError(Object.assign(new Error('gone'), { code: 'ETIMEDOUT' }), {
  server: 's',
  method: 'GET',
  path: '/',
});

async function* refusedWatch(): AsyncGenerator<never> {
  yield await Promise.reject(gone);
}

/** One client's way to a shared API server; while it is cut every request of this client fails, a watch too. */
export function linkTo(kube: FakeKube, isCut: () => boolean): FakeKube {
  return new Proxy(kube, {
    get: (target, key) => {
      const value = Reflect.get(target, key, target) as unknown;
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        if (!isCut()) return (value as (...all: unknown[]) => unknown).apply(target, args);
        if (key === 'watch') return refusedWatch();
        return (async () => {
          throw gone;
        })();
      };
    },
  });
}

/**
 * One client's way to a shared API server through a network that loses packets for a while: requests wait until it
 * carries again, or are given up by who made them, and watches tell late what has happened.
 */
export class LossyLink {
  readonly client: FakeKube;
  #carries = Promise.resolve();
  #heal: () => void = () => undefined;

  constructor(kube: FakeKube) {
    this.client = new Proxy(kube, {
      get: (target, key) => {
        const value = Reflect.get(target, key, target) as unknown;
        if (typeof value !== 'function') return value;
        const call = (args: readonly unknown[]): unknown =>
          (value as (...all: unknown[]) => unknown).apply(target, [...args]);
        if (key === 'watch') return (...args: readonly unknown[]): AsyncIterable<unknown> => this.#late(args, call);
        if (key === 'all') return (...args: readonly unknown[]): unknown => call(args);
        return async (...args: readonly unknown[]): Promise<unknown> => {
          await this.#passage(args);
          return call(args);
        };
      },
    });
  }

  lose(): void {
    this.#carries = new Promise((resolve) => (this.#heal = resolve));
  }

  heal(): void {
    this.#heal();
  }

  async *#late(
    args: readonly unknown[],
    watch: (args: readonly unknown[]) => unknown,
  ): AsyncGenerator<WatchEvent<KubeObject>> {
    await this.#passage(args);
    for await (const event of watch(args) as AsyncIterable<WatchEvent<KubeObject>>) {
      await this.#passage(args);
      yield event;
    }
  }

  async #passage(args: readonly unknown[]): Promise<void> {
    const signal = args.map((one) => (one as { signal?: AbortSignal } | undefined)?.signal).find((one) => one);
    await Promise.race([this.#carries, new Promise((resolve) => signal?.addEventListener('abort', resolve))]);
    if (signal?.aborted === true) throw gone;
  }
}
