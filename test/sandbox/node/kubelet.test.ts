import { expect, test } from '@jest/globals';
import { kubeletRequest } from '../../../src/sandbox/node/kubelet.ts';

test.each([
  ['/exec/ns/pod/main?command=ls&command=-l&output=1', 'exec', 'command=ls&command=-l&output=1&container=main'],
  ['/exec/ns/pod/main?command=cat&input=1', 'exec', 'command=cat&input=1&container=main&stdin=true'],
  ['/containerLogs/ns/pod/main?tailLines=5&follow=true', 'log', 'tailLines=5&follow=true&container=main'],
])('what the API server asks a kubelet for: %s', (url, subresource, query) => {
  const wanted = kubeletRequest(url);
  expect(wanted).toMatchObject({ namespace: 'ns', name: 'pod', subresource });
  expect(wanted?.query.toString()).toBe(query);
});

test.each(['/', '/exec', '/exec/ns/pod', '/exec/ns/pod/main/more', '/attach/ns/pod/main', '/toString/ns/pod/main'])(
  '%s is not served',
  (url) => {
    expect(kubeletRequest(url)).toBeUndefined();
  },
);
