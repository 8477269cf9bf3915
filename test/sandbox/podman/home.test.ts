import { expect, test } from '@jest/globals';
import { podmanEnvironment, podmanHome, renderHomeConf, renderStorageConf } from '../../../src/sandbox/podman/home.ts';

test('everything podman writes is below the folder; only images are read from elsewhere', () => {
  const conf = renderHomeConf('/s/podman', '[containers]\n[engine]\nruntime = "runc"\n');
  const storage = renderStorageConf('/s/podman', '/var/lib/containers/storage');
  const paths = [...`${conf}${storage}`.matchAll(/"(\/[^"]*)"/g)].map(([, found]) => found);
  expect(paths.filter((found) => found?.startsWith('/s/podman/') !== true)).toEqual(['/var/lib/containers/storage']);
  expect(conf).toMatch(/^\[containers\]\n\[engine\]\nstatic_dir/);
  expect(conf).toContain('lock_type = "file"');
  expect(conf).toContain('runtime = "runc"');
});

test('podman is told of the folder by its environment, and of nothing else', () => {
  expect(podmanEnvironment(podmanHome('/s/podman'), '/bin')).toEqual({
    PATH: '/bin',
    HOME: '/root',
    CONTAINERS_CONF: '/s/podman/containers.conf',
    CONTAINERS_STORAGE_CONF: '/s/podman/storage.conf',
  });
});
