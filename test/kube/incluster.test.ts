import { afterEach, describe, expect, test } from '@jest/globals';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inClusterClient } from '../../src/kube/incluster.ts';

const cleanups: (() => unknown)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

function account(files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'account-'));
  cleanups.push(() => rmSync(dir, { recursive: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(path.join(dir, name), content);
  return dir;
}

describe('inClusterClient', () => {
  const files = { 'ca.crt': 'PEM', token: 'abc', namespace: 'ns\n' };

  test.each([
    [{ KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '6443' }, 'https://10.0.0.1:6443'],
    [{ KUBERNETES_SERVICE_HOST: 'fd00::1' }, 'https://[fd00::1]:443'],
  ])('%j is %s', (env, server) => {
    const client = inClusterClient(env, { accountDir: account(files) });
    expect(client.server).toBe(server);
    client.close();
  });

  test('says what is missing', () => {
    const env = { KUBERNETES_SERVICE_HOST: 'h' };
    expect(() => inClusterClient({}, { accountDir: account(files) })).toThrow('KUBERNETES_SERVICE_HOST is not set');
    expect(() => inClusterClient(env, { accountDir: account({ token: 'x' }) })).toThrow(
      /no service account is mounted: .*ca\.crt/,
    );
  });
});

/** Packages that a module loads as soon as it is imported, itself or through modules of ours. */
function packagesOf(entry: string): { readonly packages: Set<string>; readonly modules: Set<string> } {
  const packages = new Set<string>();
  const modules = new Set<string>();
  const visit = (file: string): void => {
    if (modules.has(file)) return;
    modules.add(file);
    const text = readFileSync(file, 'utf8');
    for (const [, statement = '', target = ''] of text.matchAll(/^(?:import|export)\b([^;]*?)from '([^']+)';/gm)) {
      if (/^\s*type\b/.test(statement)) continue;
      if (target.startsWith('.')) visit(path.resolve(path.dirname(file), target));
      else if (!target.startsWith('node:') && !builtinModules.includes(target)) packages.add(target);
    }
  };
  visit(path.resolve(entry));
  return { packages, modules };
}

describe('what daemons load', () => {
  const entries = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) =>
    /^(?:engine|routeagent)\/main\.ts$/.test(file),
  );

  test.each(entries)('%s loads neither client-node nor yaml nor ws', (entry) => {
    const { packages, modules } = packagesOf(`src/${entry}`);
    expect(modules.size).toBeGreaterThan(20);
    expect(packages).toContain('ipaddr.js');
    for (const heavy of ['@kubernetes/client-node', 'yaml', 'ws', 'commander', 'inquirer'])
      expect(packages).not.toContain(heavy);
  });

  test('the check would see them', () => {
    expect(packagesOf('src/kube/templates.ts').packages).toContain('yaml');
    expect(packagesOf('src/kube/httpsclient.ts').packages).not.toContain('ws');
    expect(packagesOf('src/kube/clientnode.ts').packages).toContain('@kubernetes/client-node');
  });
});
