import { KubeConnectionError } from '../../src/kube/errors.ts';
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
