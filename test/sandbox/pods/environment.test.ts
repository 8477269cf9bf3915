import { describe, expect, test } from '@jest/globals';
import type { Container, Pod } from '../../../src/kube/objects.ts';
import {
  buildEnvironment,
  expand,
  fieldValue,
  hostNameOf,
  type PodFacts,
  type PodObjects,
} from '../../../src/sandbox/pods/environment.ts';
import { commandOf, imageBaseName, programOf } from '../../../src/sandbox/pods/image.ts';

const pod: Pod = {
  metadata: { name: 'web', namespace: 'shop', uid: 'u1', labels: { app: 'web' }, annotations: { 'a/b': 'c' } },
  spec: { containers: [], serviceAccountName: 'robot' },
};
const facts: PodFacts = {
  pod,
  podIP: '10.130.1.2',
  hostIP: '172.31.0.11',
  nodeName: 'east-1',
  apiHost: '100.66.0.1',
  apiPort: 443,
};
const objects: PodObjects = {
  secret: async (name) =>
    name === 'keys' ? { metadata: { name }, data: { key: Buffer.from('s3cret').toString('base64') } } : undefined,
  configMap: async (name) => (name === 'conf' ? { metadata: { name }, data: { level: 'debug' } } : undefined),
};
const build = (container: Partial<Container> & Record<string, unknown>) =>
  buildEnvironment({ name: 'c', ...container }, { FROM_IMAGE: '1' }, facts, objects);

describe('the environment of a container', () => {
  test('has the API server, the image’s own and nothing of this machine', async () => {
    const env = await build({});
    expect(env).toMatchObject({
      KUBERNETES_SERVICE_HOST: '100.66.0.1',
      KUBERNETES_SERVICE_PORT: '443',
      FROM_IMAGE: '1',
      HOSTNAME: 'web',
    });
    expect(Object.keys(env).sort()).toEqual([
      'FROM_IMAGE',
      'HOME',
      'HOSTNAME',
      'KUBERNETES_SERVICE_HOST',
      'KUBERNETES_SERVICE_PORT',
      'KUBERNETES_SERVICE_PORT_HTTPS',
      'PATH',
    ]);
  });

  test('takes values, fields, secrets and config maps, in order', async () => {
    const env = await build({
      envFrom: [{ configMapRef: { name: 'conf' }, prefix: 'LOG_' }, { secretRef: { name: 'none', optional: true } }],
      env: [
        { name: 'A', value: 'x' },
        { name: 'B', value: '$(A)-$(NONE)-$$(A)-$(LOG_level)' },
        { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
        { name: 'KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'key' } } },
        { name: 'GONE', valueFrom: { configMapKeyRef: { name: 'none', key: 'x', optional: true } } },
      ],
    });
    expect(env).toMatchObject({ A: 'x', B: 'x-$(NONE)-$(A)-debug', NODE: 'east-1', KEY: 's3cret', LOG_level: 'debug' });
    expect(env).not.toHaveProperty('GONE');
  });

  test.each([
    [{ secretKeyRef: { name: 'none', key: 'x' } }, 'secret "none" not found'],
    [{ secretKeyRef: { name: 'keys', key: 'x' } }, `couldn't find key x in secret "keys"`],
    [{ configMapKeyRef: { name: 'none', key: 'x' } }, 'configmap "none" not found'],
    [{ fieldRef: { fieldPath: 'spec.unknown' } }, 'field spec.unknown is not supported'],
    [{ resourceFieldRef: { resource: 'limits.cpu' } }, 'environment variable X: this source is not supported'],
  ])('says what is missing: %j', async (valueFrom, message) => {
    await expect(build({ env: [{ name: 'X', valueFrom }] })).rejects.toMatchObject({
      reason: 'CreateContainerConfigError',
      message: expect.stringContaining(message),
    });
  });

  test('knows the fields of the downward API', () => {
    expect(fieldValue(facts, "metadata.labels['app']")).toBe('web');
    expect(fieldValue(facts, "metadata.annotations['a/b']")).toBe('c');
    expect(fieldValue(facts, 'spec.serviceAccountName')).toBe('robot');
    expect(fieldValue(facts, 'status.hostIP')).toBe('172.31.0.11');
    expect(fieldValue(facts, 'nonsense')).toBeUndefined();
  });

  test('the host name is the node’s in the node’s network', () => {
    expect(hostNameOf({ ...facts, pod: { ...pod, spec: { ...pod.spec, hostNetwork: true } } })).toBe('east-1');
    expect(expand('$(', {})).toBe('$(');
  });
});

describe('the program of an image', () => {
  const images = { 'submariner-gateway': { entrypoint: ['node', 'engine'], args: ['--run'] } };

  test.each([
    ['quay.io/submariner/submariner-gateway:0.20', 'submariner-gateway'],
    ['localhost:5000/submariner-gateway', 'submariner-gateway'],
    ['submariner-gateway@sha256:abc', 'submariner-gateway'],
    ['', ''],
  ])('%s is %s', (image, name) => {
    expect(imageBaseName(image)).toBe(name);
  });

  test('command replaces the entry point, arguments replace its arguments', () => {
    const program = programOf({ name: 'c', image: 'x/submariner-gateway:1' }, images);
    expect(commandOf({ name: 'c' }, program)).toEqual(['node', 'engine', '--run']);
    expect(commandOf({ name: 'c', args: ['-v'] }, program)).toEqual(['node', 'engine', '-v']);
    expect(commandOf({ name: 'c', command: ['sh'] }, program)).toEqual(['sh']);
    expect(() => programOf({ name: 'c', image: 'nginx' }, images)).toThrow('it has: submariner-gateway');
  });
});
