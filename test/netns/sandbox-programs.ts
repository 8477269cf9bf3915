import { readFileSync } from 'node:fs';
import { runDaemon, type DaemonMain } from '../../src/runtime/process.ts';
import { createHttpsClient } from '../../src/kube/httpsclient.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { startApiServer, type ApiServerOptions } from '../../src/sandbox/apiserver/server.ts';
import { createServiceAccountKey } from '../../src/sandbox/jwt.ts';
import { runNode } from '../../src/sandbox/node/agent.ts';
import type { NodeConfig } from '../../src/sandbox/node/config.ts';
import { runPlatformControllers } from '../../src/sandbox/platform/run.ts';
import { runDelay, type DelayConfig } from '../../src/sandbox/workloads/delay.ts';
import { echoConfig, runEcho } from '../../src/sandbox/workloads/echo.ts';

/** The processes of the netns tests: `apiserver FILE`, `node FILE`, `delay FILE`, `echo`. */
const [what, file = ''] = process.argv.slice(2);
const config = (): unknown => JSON.parse(readFileSync(file, 'utf8'));

interface ApiServerConfig extends Omit<ApiServerOptions, 'tls'> {
  readonly cert: string;
  readonly key: string;
}

const programs: Readonly<Record<string, DaemonMain>> = {
  apiserver: async (signal, logger) => {
    const { cert, key, ...rest } = config() as ApiServerConfig;
    const ca = readFileSync(cert, 'utf8');
    const serviceAccountKey = createServiceAccountKey();
    const server = await startApiServer({
      ...rest,
      serviceAccountKey,
      tls: { cert: ca, key: readFileSync(key, 'utf8') },
    });
    const socketPath = server.addresses.map((one) => ('socketPath' in one ? one.socketPath : '')).join('');
    const client = createHttpsClient({ server: 'https://localhost', socketPath, ca, token: rest.adminToken });
    await runPlatformControllers({ client, logger, clock: systemClock, ca, serviceAccountKey }, signal);
    client.close();
    await server.close();
  },
  node: (signal, logger) => runNode(config() as NodeConfig, signal, logger),
  delay: (signal, logger) => runDelay(config() as DelayConfig, signal, logger),
  echo: (signal, logger, env) => runEcho(echoConfig(env), signal, logger),
};

await runDaemon(programs[what ?? '']!);
