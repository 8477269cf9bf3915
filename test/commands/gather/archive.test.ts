import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { clusterInArchive, openArchive } from '../../../src/commands/gather/archive.ts';
import { type ArchiveIndex, FORMAT } from '../../../src/commands/gather/format.ts';
import { archiveClient } from '../../../src/commands/gather/offline.ts';
import { TAR_END, tarEntry } from '../../../src/commands/gather/tar.ts';
import type { Pod } from '../../../src/kube/objects.ts';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { renderYaml } from '../../../src/kube/yaml.ts';
import { engineState } from '../daemonstates.ts';

function pod(namespace: string, name: string, nodeName: string, labels: Record<string, string> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: { nodeName, containers: [] },
    status: { podIP: '10.0.0.1' },
  };
}

const PODS = [pod('a', 'x', 'n1', { app: 'web' }), pod('b', 'x', 'n2'), pod('b', 'y', 'n1')];

const INDEX: ArchiveIndex = {
  ...FORMAT,
  version: '9.8.7',
  createdAt: '2030-01-01T00:00:00.000Z',
  clusters: [
    {
      cluster: 'kube-east',
      context: 'admin@east',
      server: 'https://east:6443',
      clusterId: 'east',
      directory: 'kube-east',
      files: [],
      failures: [
        { collector: 'leases', message: 'not allowed to list leases.coordination.k8s.io' },
        { collector: 'state', message: 'no pod of submariner-gateway runs on node n2' },
      ],
    },
  ],
  problems: [],
  redacted: 3,
};

const FILES: Readonly<Record<string, string>> = {
  'index.json': JSON.stringify(INDEX),
  'kube-east/resources/pods.yaml': PODS.map((one) => `---\n${renderYaml(one)}`).join(''),
  'kube-east/resources/endpoints.submariner.io.yaml': '',
  'kube-east/state/n1/engine.json': JSON.stringify(engineState('n1')),
};

function tarGz(files: Readonly<Record<string, string>>, root = 'submariner-x/'): Buffer {
  const entries = Object.entries(files).map(([name, text]) =>
    tarEntry({ path: `${root}${name}`, bytes: Buffer.from(text) }, 0),
  );
  return gzipSync(Buffer.concat([...entries, TAR_END]));
}

describe('an archive', () => {
  let folder: string;
  const at = (name: string): string => path.join(folder, name);

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'subctl-archive-'));
    writeFileSync(at('good.tar.gz'), tarGz(FILES));
    for (const [name, text] of Object.entries(FILES)) {
      mkdirSync(path.dirname(at(`dir/${name}`)), { recursive: true });
      writeFileSync(at(`dir/${name}`), text);
    }
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  test.each(['good.tar.gz', 'dir'])('%s: objects and states', async (name) => {
    const archive = await openArchive(at(name));
    expect(archive).toMatchObject({ version: '9.8.7', redacted: 3, file: at(name) });
    const east = clusterInArchive(archive, 'east');
    expect(await east.objects(RESOURCES.pods)).toEqual(PODS);
    expect(await east.objects(RESOURCES.endpoints)).toEqual([]);
    expect(await east.daemonState({ node: 'n1', daemon: 'engine' })).toEqual(engineState('n1'));
    expect(await east.text('state/n1/engine.json')).toBe(JSON.stringify(engineState('n1')));
  });

  test('what was not gathered is not taken for nothing, and the reason is told', async () => {
    const east = clusterInArchive(await openArchive(at('good.tar.gz')), 'east');
    await expect(east.objects(RESOURCES.leases)).rejects.toThrow(
      'the archive does not hold the leases of cluster east: not allowed to list leases.coordination.k8s.io',
    );
    await expect(east.daemonState({ node: 'n2', daemon: 'engine' })).rejects.toThrow(/no pod .* on node n2/);
    await expect(east.daemonState({ node: 'n3', daemon: 'routeagent' })).rejects.toThrow(/node n3 of cluster east$/);
  });

  test.each(['east', 'kube-east', 'admin@east'])('the cluster is found as %s', async (name) => {
    expect(clusterInArchive(await openArchive(at('dir')), name).clusterId).toBe('east');
  });

  test('an unknown cluster', async () => {
    const archive = await openArchive(at('dir'));
    expect(() => clusterInArchive(archive, 'west')).toThrow(/has no cluster "west"; it has east$/);
  });

  test.each<readonly [string, Buffer, RegExp]>([
    ['empty', Buffer.alloc(0), /is not an archive of subctl gather: it is empty/],
    [
      'much larger than it looks',
      gzipSync(Buffer.concat([tarEntry({ path: 'x', bytes: Buffer.alloc(80 * 1024 * 1024) }, 0), TAR_END])),
      /it is larger than any of them/,
    ],
    ['zeros only', gzipSync(Buffer.alloc(80 * 1024 * 1024)), /it has no files/],
    ['an empty tar', gzipSync(Buffer.alloc(1024)), /it has no files/],
    [
      'a damaged gzip',
      Buffer.concat([tarGz(FILES).subarray(0, 200), Buffer.alloc(400, 7)]),
      /not compressed with gzip, or damaged|ends in/,
    ],
    ['no gzip', Buffer.from('hello'), /is not an archive of subctl gather: it is not compressed with gzip/],
    ['no tar', gzipSync(Buffer.alloc(4096, 'x')), /is not an archive of subctl gather: a header is damaged/],
    ['cut', tarGz(FILES).subarray(0, 300), /ends in the middle/],
    ['of something else', tarGz({ 'a.txt': 'x' }), /it has no index\.json/],
    ['with an index of something else', tarGz({ 'index.json': '{"a":1}' }), /its index\.json is of something else/],
    ['with a damaged index', tarGz({ 'index.json': '{' }), /its index\.json is not JSON/],
    [
      'of a newer version',
      tarGz({ 'index.json': JSON.stringify({ ...INDEX, formatVersion: 2, version: '10.0' }) }),
      /was written by subctl 10\.0, whose archives this subctl cannot read/,
    ],
  ])('one that is %s is refused', async (_, bytes, message) => {
    writeFileSync(at('bad.tar.gz'), bytes);
    await expect(openArchive(at('bad.tar.gz'))).rejects.toMatchObject({
      name: 'ExpectedError',
      message: expect.stringMatching(message),
      hint: expect.any(String),
    });
  });

  test('a device is not read', async () => {
    await expect(openArchive('/dev/zero')).rejects.toThrow(/it is a device/);
  });

  test('a file that is not there, and a directory that is none', async () => {
    await expect(openArchive(at('nowhere'))).rejects.toThrow(/^there is no file /);
    mkdirSync(at('empty'));
    await expect(openArchive(at('empty'))).rejects.toThrow(/it has no index\.json/);
  });

  test('an index cannot name files outside of the directory', async () => {
    writeFileSync(at('secret'), 'x');
    const evil = { ...INDEX, clusters: [{ ...INDEX.clusters[0]!, directory: '..' }] };
    writeFileSync(at('dir/index.json'), JSON.stringify(evil));
    await expect(clusterInArchive(await openArchive(at('dir')), 'east').text('secret')).rejects.toThrow(
      /does not hold/,
    );
  });

  test('as a client: get, find and list with selectors; nothing else', async () => {
    const client = archiveClient(clusterInArchive(await openArchive(at('dir')), 'east'));
    const names = async (options: Parameters<typeof client.list>[1]): Promise<readonly string[]> =>
      (await client.list(RESOURCES.pods, options)).items.map((one) => `${one.metadata.namespace}/${one.metadata.name}`);
    expect(await names({})).toEqual(['a/x', 'b/x', 'b/y']);
    expect(await names({ namespace: 'b' })).toEqual(['b/x', 'b/y']);
    expect(await names({ labelSelector: 'app=web' })).toEqual(['a/x']);
    expect(await names({ fieldSelector: 'spec.nodeName=n1,metadata.namespace=b' })).toEqual(['b/y']);
    expect((await client.get(RESOURCES.pods, 'x', { namespace: 'b' })).metadata.namespace).toBe('b');
    expect(await client.find(RESOURCES.pods, 'z', { namespace: 'b' })).toBeUndefined();
    await expect(client.get(RESOURCES.pods, 'z', { namespace: 'b' })).rejects.toMatchObject({ code: 404 });
    await expect(client.exec('b', 'y', ['true'])).rejects.toThrow(/running a program in a pod needs the cluster/);
    await expect(client.create(RESOURCES.pods, PODS[0]!)).rejects.toThrow(/there is only an archive/);
    await expect(client.list(RESOURCES.leases)).rejects.toThrow(/does not hold/);
  });
});
