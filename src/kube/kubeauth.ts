/** From the cluster and user entries of a kubeconfig to the options of our client. */
import { readFileSync } from 'node:fs';
import { ExpectedError, messageOf } from '../runtime/errors.ts';
import type { CredentialOptions, Impersonation } from './credentials.ts';
import type { HttpsClientOptions } from './httpsclient.ts';
import { proxyFor } from './proxy.ts';
import { pathField, textField, type KubeconfigEntry } from './kubeconfigfile.ts';

/** The connection flags, as kubectl has them; each overrides what the kubeconfig says. */
export interface ConnectionOverrides {
  readonly server?: string | undefined;
  readonly token?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly as?: string | undefined;
  readonly asUid?: string | undefined;
  readonly asGroup?: readonly string[] | undefined;
  readonly clientCertificate?: string | undefined;
  readonly clientKey?: string | undefined;
  readonly certificateAuthority?: string | undefined;
  readonly insecureSkipTlsVerify?: boolean | undefined;
  readonly tlsServerName?: string | undefined;
  readonly proxyUrl?: string | undefined;
  /** Milliseconds; 0: no limit; undefined: 30 s. */
  readonly requestTimeoutMs?: number | undefined;
}

/** The entries a connection is made of. */
export interface ConnectionEntries {
  readonly cluster: KubeconfigEntry | undefined;
  readonly user: KubeconfigEntry | undefined;
  readonly userName: string;
  readonly namespace: string | undefined;
  /** For messages: "context east". */
  readonly source: string;
}

/** Client options of a connection; rejects with ExpectedError naming the file or plugin that does not work. */
export async function connectionOptions(
  entries: ConnectionEntries,
  flags: ConnectionOverrides & { readonly env: Readonly<Record<string, string | undefined>> },
): Promise<HttpsClientOptions> {
  const { cluster, namespace, source } = entries;
  const server = flags.server ?? textField(cluster, 'server');
  if (server === undefined) {
    throw new ExpectedError(`${source} names no API server`, { hint: 'Correct the kubeconfig, or use --server.' });
  }
  if (!URL.canParse(server)) {
    throw new ExpectedError(`${source}: ${JSON.stringify(server)} is no URL of an API server`, {
      hint: 'It looks like https://host:6443.',
    });
  }
  const insecure = flags.insecureSkipTlsVerify ?? cluster?.fields['insecure-skip-tls-verify'] === true;
  return {
    server: server.replace(/\/+$/, ''),
    namespace,
    source,
    insecure,
    ca: insecure ? undefined : authority(entries, flags),
    tlsServerName: flags.tlsServerName ?? textField(cluster, 'tls-server-name'),
    proxyUrl: flags.proxyUrl ?? textField(cluster, 'proxy-url') ?? proxyFor(server, flags.env),
    requestTimeoutMs: flags.requestTimeoutMs,
    impersonate: impersonation(entries, flags),
    ...(await authentication(entries, flags)),
  };
}

function authority({ cluster, source }: ConnectionEntries, flags: ConnectionOverrides): string | undefined {
  const file = flags.certificateAuthority ?? pathField(cluster, 'certificate-authority');
  if (flags.certificateAuthority === undefined) {
    const data = textField(cluster, 'certificate-authority-data');
    if (data !== undefined) return decode(data);
  }
  return file === undefined ? undefined : read(file, 'certificate authority', source);
}

function impersonation({ user }: ConnectionEntries, flags: ConnectionOverrides): Impersonation | undefined {
  const name = flags.as ?? textField(user, 'as');
  if (name === undefined || name === '') return undefined;
  const groups = flags.asGroup ?? user?.fields['as-groups'];
  return {
    user: name,
    uid: flags.asUid ?? textField(user, 'as-uid'),
    groups: Array.isArray(groups) ? groups.map(String) : [],
  };
}

type Authentication = CredentialOptions & Pick<HttpsClientOptions, 'clientCert' | 'clientKey'>;

async function authentication(entries: ConnectionEntries, flags: ConnectionOverrides): Promise<Authentication> {
  const certificates = clientCertificates(entries, flags);
  const bearer = bearerOf(entries, flags);
  if (bearer !== undefined) return { ...certificates, ...bearer };
  const { user } = entries;
  if (user === undefined || (user.fields['exec'] === undefined && user.fields['auth-provider'] === undefined))
    return certificates;
  return { ...certificates, ...(await pluginAuthentication(entries, user)) };
}

function clientCertificates({ user, source }: ConnectionEntries, flags: ConnectionOverrides): Authentication {
  const pem = (flag: string | undefined, key: string): string | undefined => {
    if (flag !== undefined) return read(flag, key.replace('-', ' '), source);
    const data = textField(user, `${key}-data`);
    if (data !== undefined) return decode(data);
    const file = pathField(user, key);
    return file === undefined ? undefined : read(file, key.replace('-', ' '), source);
  };
  return {
    clientCert: pem(flags.clientCertificate, 'client-certificate'),
    clientKey: pem(flags.clientKey, 'client-key'),
  };
}

/** Token, token file or name and password; flags first. */
function bearerOf({ user }: ConnectionEntries, flags: ConnectionOverrides): CredentialOptions | undefined {
  if (flags.token !== undefined) return { token: flags.token };
  const username = flags.username ?? textField(user, 'username');
  if (flags.username === undefined) {
    const tokenFile = pathField(user, 'tokenFile');
    if (tokenFile !== undefined) return { tokenFile };
    const token = textField(user, 'token');
    if (token !== undefined) return { token };
  }
  if (username === undefined) return undefined;
  return { basic: { username, password: flags.password ?? textField(user, 'password') ?? '' } };
}

/** What client-node's authenticators (exec plugins, OIDC, cloud providers) put into the options of a request. */
interface PluginOutcome {
  readonly headers?: Readonly<Record<string, string>>;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
}

/** Credentials of a plugin; its certificates are taken now, its token again whenever a request needs one. */
async function pluginAuthentication(entries: ConnectionEntries, user: KubeconfigEntry): Promise<Authentication> {
  const { KubeConfig } = await import('./clientnode.ts');
  const { userName } = entries;
  const fresh = (): InstanceType<typeof KubeConfig> => {
    const config = new KubeConfig();
    config.loadFromClusterAndUser(
      { name: 'cluster', server: 'https://localhost', skipTLSVerify: true },
      { name: userName, exec: user.fields['exec'], authProvider: user.fields['auth-provider'] },
    );
    return config;
  };
  let config = fresh();
  const ask = async (): Promise<PluginOutcome> => {
    const outcome = {};
    try {
      await config.applyToHTTPSOptions(outcome);
    } catch (error) {
      throw pluginError(entries, user, error);
    }
    return outcome;
  };
  const first = await ask();
  return {
    tokenSource: async (renew) => {
      if (renew) config = fresh();
      return (await ask()).headers?.['Authorization']?.replace(/^Bearer /, '');
    },
    ...(first.cert === undefined ? {} : { clientCert: String(first.cert) }),
    ...(first.key === undefined ? {} : { clientKey: String(first.key) }),
  };
}

function pluginError({ source, userName }: ConnectionEntries, user: KubeconfigEntry, error: unknown): ExpectedError {
  const { command, installHint } = (user.fields['exec'] ?? {}) as {
    readonly command?: string;
    readonly installHint?: string;
  };
  const plugin = command === undefined ? 'the authentication provider' : `the credential plugin ${command}`;
  return new ExpectedError(`${source}: ${plugin} of user ${userName} failed: ${messageOf(error).trim()}`, {
    hint: installHint ?? 'Run it by hand, or log in again.',
    cause: error,
  });
}

function decode(data: string): string {
  return Buffer.from(data, 'base64').toString('utf8');
}

function read(path: string, what: string, source: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ExpectedError(`${source}: cannot read the ${what} ${path}: ${messageOf(error)}`, {
      hint: 'Correct the path in the kubeconfig or flag.',
      cause: error,
    });
  }
}
