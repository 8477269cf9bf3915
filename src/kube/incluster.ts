import { readFileSync } from 'node:fs';
import { ExpectedError, messageOf } from '../runtime/errors.ts';
import type { KubeClient } from './client.ts';
import { DAEMON_TIMES } from './brokerclient.ts';
import { createHttpsClient } from './httpsclient.ts';

const ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Where the mounted service account and the environment say that the API server is. */
export interface InClusterOptions {
  /** Default /var/run/secrets/kubernetes.io/serviceaccount. */
  readonly accountDir?: string;
}

/** The client of a process that runs in a pod; throws ExpectedError when it does not run in one. */
export function inClusterClient(
  env: Readonly<Record<string, string | undefined>>,
  options: InClusterOptions = {},
): KubeClient {
  const { accountDir = ACCOUNT_DIR } = options;
  const host = env['KUBERNETES_SERVICE_HOST'];
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443';
  if (host === undefined || host === '') {
    throw new ExpectedError('not running in a pod: KUBERNETES_SERVICE_HOST is not set', {
      hint: 'Daemons are started by Kubernetes: subctl join.',
    });
  }
  const read = (file: string): string => {
    try {
      return readFileSync(`${accountDir}/${file}`, 'utf8').trim();
    } catch (error) {
      throw new ExpectedError(`no service account is mounted: ${messageOf(error)}`, {
        hint: 'The pod needs automountServiceAccountToken (the default).',
        cause: error,
      });
    }
  };
  return createHttpsClient({
    ...DAEMON_TIMES,
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    ca: read('ca.crt'),
    tokenFile: `${accountDir}/token`,
    namespace: read('namespace'),
    source: 'in-cluster service account',
  });
}
