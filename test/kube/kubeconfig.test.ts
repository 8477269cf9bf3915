import { afterEach, describe, expect, test } from '@jest/globals';
import { chmodSync, mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadKubeContexts, type KubeconfigOptions } from '../../src/kube/kubeconfig.ts';
import { renderYaml } from '../../src/kube/yaml.ts';
import { json, startServer, status, type TestServer } from './server.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function directory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'kubeconfig-'));
  cleanups.push(() => rmSync(dir, { recursive: true }));
  return dir;
}

function write(path: string, content: unknown): string {
  writeFileSync(path, typeof content === 'string' ? content : renderYaml(content));
  return path;
}

const entry = (kind: string, name: string, content: object): object => ({ name, [kind]: content });

function config(server: string, user: object = { token: 't' }, more: object = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      entry('cluster', 'east-cluster', { server }),
      entry('cluster', 'west-cluster', { server: 'https://west:6443' }),
    ],
    users: [entry('user', 'admin', user), entry('user', 'other', { token: 'other' })],
    contexts: [
      entry('context', 'east', { cluster: 'east-cluster', user: 'admin', namespace: 'ns' }),
      entry('context', 'east-again', { cluster: 'east-cluster', user: 'other' }),
      entry('context', 'west', { cluster: 'west-cluster', user: 'admin' }),
    ],
    'current-context': 'east',
    ...more,
  };
}

async function server(): Promise<TestServer> {
  const started = await startServer((request, response) =>
    request.headers.authorization === 'Bearer expired'
      ? json(response, 401, status(401, 'Unauthorized'))
      : json(response, 200, { ok: true }),
  );
  cleanups.push(() => started.close());
  return started;
}

/** Headers of a request made with these options. */
async function headersOf(
  target: TestServer,
  options: KubeconfigOptions,
  context?: string,
): Promise<Record<string, unknown>> {
  const client = await loadKubeContexts(options).client(context);
  cleanups.push(() => client.close());
  await client.request('GET', '/version');
  return target.seen.at(-1)!.headers;
}

describe('loadKubeContexts', () => {
  test('lists contexts, the current one, and one for each cluster', () => {
    const file = write(join(directory(), 'c'), config('https://east:6443/'));
    const { all, current, distinct } = loadKubeContexts({ kubeconfig: file, env: {} });
    expect(all.map(({ name }) => name)).toEqual(['east', 'east-again', 'west']);
    expect(current).toEqual({
      name: 'east',
      cluster: 'east-cluster',
      user: 'admin',
      namespace: 'ns',
      server: 'https://east:6443/',
    });
    expect(distinct.map(({ name }) => name)).toEqual(['east', 'west']);
    const again = loadKubeContexts({ kubeconfig: file, env: {}, context: 'east-again' });
    expect(again.distinct.map(({ name }) => name)).toEqual(['east-again', 'west']);
  });

  test('files of KUBECONFIG are merged, the first entry of a name counts, missing files do not', () => {
    const dir = directory();
    const first = write(join(dir, '1'), {
      contexts: [entry('context', 'east', { cluster: 'a', user: 'b', namespace: 'first' })],
    });
    const second = write(join(dir, '2'), config('https://east:6443'));
    const { all, current } = loadKubeContexts({ env: { KUBECONFIG: `${first}:${dir}/missing:${second}` } });
    expect(all.map(({ name, namespace }) => [name, namespace])).toEqual([
      ['east', 'first'],
      ['east-again', undefined],
      ['west', undefined],
    ]);
    expect(current?.name).toBe('east');
  });

  test('~/.kube/config is used when nothing else is named', () => {
    const home = directory();
    mkdirSync(join(home, '.kube'));
    write(join(home, '.kube', 'config'), config('https://east:6443'));
    expect(loadKubeContexts({ env: { HOME: home } }).current?.name).toBe('east');
  });

  test.each([
    [{ env: { HOME: '/nowhere' } }, 'there is no kubeconfig (looked at /nowhere/.kube/config)'],
    [{ env: { KUBECONFIG: '/a:/b' } }, 'looked at /a, /b'],
    [{ env: {}, kubeconfig: '/nowhere/c' }, 'cannot read the kubeconfig /nowhere/c'],
  ])('%j: %s', (options, problem) => {
    expect(() => loadKubeContexts(options)).toThrow(problem);
  });

  test('broken files are named', () => {
    const dir = directory();
    const bad = write(join(dir, 'bad'), 'clusters: [\n');
    expect(() => loadKubeContexts({ kubeconfig: bad, env: {} })).toThrow(`the kubeconfig ${bad} cannot be used`);
    const list = write(join(dir, 'list'), '- a\n');
    expect(() => loadKubeContexts({ kubeconfig: list, env: {} })).toThrow('it is no kubeconfig');
    const junk = write(join(dir, 'junk'), {
      clusters: 'x',
      users: [null, 7, { name: 'u' }],
      contexts: [{ name: 'c', context: null }],
    });
    expect(loadKubeContexts({ kubeconfig: junk, env: {} }).all).toEqual([
      { name: 'c', cluster: '', user: '', namespace: undefined, server: '' },
    ]);
  });

  test('unknown contexts, no current context and entries that are not there are errors with the choice', async () => {
    const dir = directory();
    const file = write(join(dir, 'c'), config('https://e', {}, { 'current-context': 'gone', users: [] }));
    expect(() => loadKubeContexts({ kubeconfig: file, env: {}, context: 'nope' })).toThrow('there is no context nope');
    const loaded = loadKubeContexts({ kubeconfig: file, env: {} });
    await expect(loaded.client()).rejects.toMatchObject({
      message: `the kubeconfig ${file} has no context gone, its current one`,
      hint: 'Choose one with --context. There are: east, east-again, west.',
    });
    await expect(loaded.client('nope')).rejects.toThrow('there is no context nope');
    await expect(loaded.client('east')).rejects.toThrow(
      'context east names the user admin, which is not in the kubeconfig',
    );
  });
});

describe('credentials of a context', () => {
  test.each([
    ['token', { token: 'abc' }, { authorization: 'Bearer abc' }],
    ['name and password', { username: 'u', password: 'p' }, { authorization: 'Basic dTpw' }],
    [
      'impersonation',
      { token: 'abc', as: 'jane', 'as-groups': ['a', 'b'] },
      { 'impersonate-user': 'jane', 'impersonate-group': 'a, b' },
    ],
  ])('%s', async (_what, user, headers) => {
    const target = await server();
    const kubeconfig = write(join(directory(), 'c'), config(target.url, user));
    expect(await headersOf(target, { kubeconfig, env: {} })).toMatchObject(headers);
  });

  test('a token file is relative to the kubeconfig and wins over a token', async () => {
    const target = await server();
    const dir = directory();
    const kubeconfig = write(join(dir, 'c'), config(target.url, { tokenFile: 'sub/token', token: 'not this' }));
    mkdirSync(join(dir, 'sub'));
    write(join(dir, 'sub', 'token'), 'one\n');
    const client = await loadKubeContexts({ kubeconfig, env: {} }).client();
    cleanups.push(() => client.close());
    await client.request('GET', '/');
    expect(target.seen[0]?.headers.authorization).toBe('Bearer one');
  });

  test('flags override the context, its user and its cluster', async () => {
    const target = await server();
    const kubeconfig = write(join(directory(), 'c'), config('https://nowhere.invalid', { token: 'abc', as: 'x' }));
    const env = {};
    expect(
      await headersOf(target, {
        kubeconfig,
        env,
        server: target.url,
        token: 'flag',
        as: 'jane',
        asUid: '7',
        asGroup: ['g'],
      }),
    ).toMatchObject({
      authorization: 'Bearer flag',
      'impersonate-user': 'jane',
      'impersonate-uid': '7',
      'impersonate-group': 'g',
    });
    expect(await headersOf(target, { kubeconfig, env, server: target.url, user: 'other' })).toMatchObject({
      authorization: 'Bearer other',
    });
    expect(
      await headersOf(target, { kubeconfig, env, server: target.url, username: 'u', password: 'p' }),
    ).toMatchObject({
      authorization: 'Basic dTpw',
    });
    expect(await headersOf(target, { env: { HOME: '/nowhere' }, server: target.url, token: 'bare' })).toMatchObject({
      authorization: 'Bearer bare',
    });
  });

  test('the proxy of the environment is used as kubectl uses it, unless the kubeconfig or a flag names another', async () => {
    const [proxy, other] = [await server(), await server()];
    const dir = directory();
    const env = { HTTP_PROXY: proxy.url };
    const plain = write(join(dir, '1'), config('http://api.example:8080'));
    expect(await headersOf(proxy, { kubeconfig: plain, env })).toMatchObject({ host: 'api.example:8080' });
    expect(await headersOf(other, { kubeconfig: plain, env, proxyUrl: other.url })).toHaveProperty('host');
    const named = entry('cluster', 'east-cluster', { server: 'http://api.example:8080', 'proxy-url': other.url });
    const kubeconfig = write(
      join(dir, '2'),
      config('', {}, { clusters: [named, entry('cluster', 'west-cluster', { server: other.url })] }),
    );
    expect(await headersOf(other, { kubeconfig, env })).toHaveProperty('host', 'api.example:8080');
    expect(await headersOf(other, { kubeconfig, env }, 'west')).toHaveProperty('host', new URL(other.url).host);
    expect(proxy.seen).toHaveLength(1);
  });

  test('errors name the context', async () => {
    const kubeconfig = write(
      join(directory(), 'c'),
      config('https://127.0.0.1:1', { 'client-certificate': 'cert.pem' }),
    );
    const contexts = loadKubeContexts({ kubeconfig, env: {} });
    await expect(contexts.client()).rejects.toThrow('context east: cannot read the client certificate');
    const client = await contexts.client('east-again');
    cleanups.push(() => client.close());
    await expect(client.request('GET', '/version')).rejects.toThrow(
      'cannot reach the API server https://127.0.0.1:1 (context east-again): connection refused',
    );
    await expect(loadKubeContexts({ kubeconfig, env: {}, proxyUrl: 'socks5://x' }).client('west')).rejects.toThrow();
    await expect(loadKubeContexts({ kubeconfig, env: {}, server: 'nonsense', user: 'other' }).client()).rejects.toThrow(
      '"nonsense" is no URL',
    );
  });

  test('an exec plugin gives the token, again after a 401; when it fails its own words are shown', async () => {
    const target = await server();
    const dir = directory();
    const plugin = join(dir, 'plugin');
    const credential =
      '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"TOKEN"}}';
    writeFileSync(
      plugin,
      `#!/bin/sh\n[ -e ${dir}/fail ] && { echo log in first >&2; exit 3; }\n[ -e ${dir}/second ] && T=fresh || T=expired\necho '${credential}' | sed s/TOKEN/$T/\ntouch ${dir}/second\n`,
    );
    chmodSync(plugin, 0o755);
    const user = {
      exec: { apiVersion: 'client.authentication.k8s.io/v1', command: plugin, installHint: 'install it' },
    };
    const kubeconfig = write(join(dir, 'c'), config(target.url, user));
    expect(await headersOf(target, { kubeconfig, env: {} })).toMatchObject({ authorization: 'Bearer fresh' });
    expect(target.seen).toHaveLength(2);
    write(join(dir, 'fail'), '');
    await expect(loadKubeContexts({ kubeconfig, env: {} }).client()).rejects.toMatchObject({
      message: `context east: the credential plugin ${plugin} of user admin failed: log in first`,
      hint: 'install it',
    });
  });
});
