import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Lease, Node, Pod } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { killNode, reviveNode } from '../../src/sandbox/fabric/fabric.ts';
import { namespacesOf, processesIn } from '../../src/sandbox/fabric/namespaces.ts';
import { isPodNamespaceOf } from '../../src/sandbox/plan.ts';
import { commandLine, isAlive, signalProcess } from '../../src/sandbox/processes.ts';
import type { EchoAnswer } from '../../src/sandbox/workloads/echo.ts';
import { isReady, runIn, SandboxTestbed, startIn, tools, until, type Ran } from './sandbox-testbed.ts';

jest.setTimeout(60_000);
const bed = new SandboxTestbed(2);
const [first, second] = [bed.node(1), bed.node(2)];
const echo = {
  containers: [
    {
      name: 'echo',
      image: 'registry.example/echo:1',
      env: [
        { name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
        { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      ],
      readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 },
    },
  ],
};
const IDLE = 'trap "exit 0" TERM; while :; do sleep 0.1; done';
const shell = (script: string) => ({ name: 'main', image: 'shell', args: [script] });
const idle = { containers: [shell(IDLE)], terminationGracePeriodSeconds: 5 };
const ports = [
  { name: 'tcp', port: 8080, protocol: 'TCP' },
  { name: 'udp', port: 8080, protocol: 'UDP' },
];
const CURL = ['curl', '-sS', '-m3'];

let serverIp: string;
let clientIp: string;

beforeAll(async () => {
  await bed.up();
  await bed.createPod('server', first, echo);
  await bed.createPod('client', second, idle);
  const pods = await Promise.all([bed.readyPod('server'), bed.readyPod('client')]);
  [serverIp = '', clientIp = ''] = pods.map((pod) => pod.status?.podIP ?? '');
});

afterAll(async () => {
  await bed.down();
});

function answer(ran: Ran): EchoAnswer {
  if (ran.exitCode !== 0) throw new Error(`${ran.exitCode}: ${ran.stderr}`);
  return JSON.parse(ran.stdout) as EchoAnswer;
}

function commandsIn(namespace: string): readonly string[] {
  return processesIn([namespace]).map((one) => commandLine(one.pid).join(' '));
}

describe('a node', () => {
  test('registers itself and keeps saying that it lives', async () => {
    const node = await bed.client.get<Node>(RESOURCES.nodes, 'east-1');
    expect(node.spec).toMatchObject({ podCIDR: '10.130.1.0/24', podCIDRs: ['10.130.1.0/24'] });
    expect(node.metadata.labels).toMatchObject({ 'kubernetes.io/hostname': 'east-1', 'kubernetes.io/os': 'linux' });
    expect(node.status?.addresses).toContainEqual({ type: 'InternalIP', address: '172.31.0.11' });
    const lease = (): Promise<Lease> => bed.client.get(RESOURCES.leases, 'east-1', { namespace: 'kube-node-lease' });
    const renewed = (await lease()).spec?.renewTime;
    await until('the Lease is renewed', async () => (await lease()).spec?.renewTime !== renewed);
  });

  test('puts right what others say about it', async () => {
    const conditions = [{ type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown' }];
    const options = { patchType: 'merge', subresource: 'status' } as const;
    await bed.client.patch(RESOURCES.nodes, 'east-1', { status: { conditions } }, options);
    await until('it is ready again', async () => {
      const node = await bed.client.get<Node>(RESOURCES.nodes, 'east-1');
      return node.status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True');
    });
  });
});

describe('the pod network', () => {
  test('pods see each other’s own addresses, from another node, their own and its host', async () => {
    expect(serverIp).toMatch(/^10\.130\.1\.\d+$/);
    expect(clientIp).toMatch(/^10\.130\.2\.\d+$/);
    const url = `http://${serverIp}:8080/`;
    expect(answer(await bed.exec('client', ...CURL, url))).toEqual({
      cluster: 'east',
      node: 'east-1',
      pod: 'server',
      clientIP: clientIp,
    });
    await bed.createPod('neighbour', first, idle);
    const neighbour = await bed.readyPod('neighbour');
    expect(answer(await bed.exec('neighbour', ...CURL, url)).clientIP).toBe(neighbour.status?.podIP);
    expect(answer(await bed.execOnNode(first, ...CURL, url)).clientIP).toBe('10.130.1.1');
    expect(answer(await bed.execOnNode(second, ...CURL, url)).clientIP).toBe('172.31.0.12');
  });

  test('what leaves the pod CIDR is masqueraded, and so is what comes into it from outside through another node', async () => {
    const outside = bed.plan.wan.namespace;
    startIn(
      outside,
      ...'socat TCP-LISTEN:9000,fork,reuseaddr SYSTEM:echo\\ $SOCAT_PEERADDR'
        .split(/(?<!\\) /)
        .map((word) => word.replaceAll('\\', '')),
    );
    const seen = await until('the outside answers', async () => {
      const { exitCode, stdout } = await bed.exec('client', 'socat', '-u', 'TCP:198.18.0.1:9000', '-');
      return exitCode === 0 ? stdout.trim() : undefined;
    });
    expect(seen).toBe('172.31.0.12');
    await runIn(outside, 'ip', 'route', 'add', `${serverIp}/32`, 'via', first.address);
    expect(answer(await runIn(outside, ...CURL, `http://${serverIp}:8080/`)).clientIP).toBe('172.31.0.1');
    await runIn(outside, 'ip', 'route', 'replace', `${serverIp}/32`, 'via', second.address);
    expect(answer(await runIn(outside, ...CURL, `http://${serverIp}:8080/`)).clientIP).toBe('172.31.0.12');
  });
});

describe('a Service', () => {
  test('sends to its endpoints, keeps pod addresses, masquerades nodes and a pod that reaches itself', async () => {
    const address = await bed.service('echo', ports);
    const url = `http://${address}:8080/`;
    await bed.endpoints('echo', [serverIp], ports);
    await until('the Service answers', async () => (await bed.exec('client', ...CURL, url)).exitCode === 0);
    await until('it answers on the other node', async () => (await bed.execOnNode(first, ...CURL, url)).exitCode === 0);
    expect(answer(await bed.exec('client', ...CURL, url)).clientIP).toBe(clientIp);
    expect(answer(await bed.execOnNode(second, ...CURL, url)).clientIP).toBe('172.31.0.12');
    expect(answer(await bed.exec('server', ...CURL, url)).clientIP).toBe('10.130.1.1');
    const udp = await bed.exec('client', 'sh', '-c', `echo hello | socat -t2 - UDP:${address}:8080`);
    expect(JSON.parse(udp.stdout)).toMatchObject({ pod: 'server', clientIP: clientIp, text: 'hello' });
  });

  test('spreads over its endpoints and follows when they change', async () => {
    await bed.createPod('server-2', second, echo);
    const other = (await bed.readyPod('server-2')).status?.podIP ?? '';
    const address = await bed.service('spread', ports);
    await bed.endpoints('spread', [serverIp, other], ports);
    const ask = () =>
      bed.exec('client', 'sh', '-c', `for i in 1 2 3 4 5 6 7 8 9 10 11 12; do curl -sm2 http://${address}:8080/; done`);
    const pods = async () => [...(await ask()).stdout.matchAll(/"pod":"([^"]+)"/g)].map((match) => match[1]);
    await until('both answer', async () => new Set(await pods()).size === 2);
    expect(await pods()).toHaveLength(12);
    const socket = `echo x | socat -t1 - UDP:${address}:8080,sourceport=7777`;
    await bed.exec('client', 'sh', '-c', socket);
    await bed.endpoints('spread', [other], ports);
    await until('only one is left', async () => {
      const seen = await pods();
      return seen.length === 12 && new Set(seen).size === 1 && seen[0] === 'server-2';
    });
    expect((await bed.exec('client', 'sh', '-c', socket)).stdout).toContain('"server-2"');
  });

  test('without endpoints refuses at once', async () => {
    const address = await bed.service('nobody', [{ port: 80 }]);
    for (const ask of [
      () => bed.exec('client', ...CURL, `http://${address}/`),
      () => bed.execOnNode(first, ...CURL, `http://${address}/`),
    ]) {
      const refused = await until('it refuses', async () => {
        const ran = await ask();
        return ran.exitCode === 7 ? ran : undefined;
      });
      expect(refused.stderr).toMatch(/refused|Could not connect|Couldn't connect/i);
    }
  });

  test('kubernetes leads a pod to the API server, which knows its service account', async () => {
    const script = `S=/var/run/secrets/kubernetes.io/serviceaccount; cat $S/namespace; echo; test -s $S/ca.crt && curl -skm3 -X POST -H "Authorization: Bearer $(cat $S/token)" -H 'content-type: application/json' -d '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}' https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/apis/authentication.k8s.io/v1/selfsubjectreviews`;
    const { stdout } = await bed.exec('client', 'sh', '-c', script);
    expect(stdout).toMatch(/^default\n/);
    expect(stdout).toContain('system:serviceaccount:default:default');
  });
});

describe('a pod', () => {
  test('has its volumes, environment, host name and directories to itself, and leaves nothing on the machine', async () => {
    await bed.client.create(RESOURCES.secrets, {
      metadata: { name: 'credentials', namespace: 'default' },
      data: { user: Buffer.from('ann').toString('base64') },
    } as never);
    await bed.client.create(RESOURCES.configMaps, {
      metadata: { name: 'settings', namespace: 'default' },
      data: { 'a.conf': 'x=1\n' },
    } as never);
    const report = `echo "$(hostname) $USER_NAME $CONF $WHERE $IP $ARGS"; cat /run/secrets/app/user /etc/new/place/a.conf; cat /var/lib/state-of-app/from-init; ls -A /run; echo keep > /var/lib/state-of-app/kept; touch /run/secrets/app/x`;
    await bed.createPod('rich', first, {
      restartPolicy: 'Never',
      initContainers: [
        {
          ...shell('echo before > /var/lib/state-of-app/from-init'),
          volumeMounts: [{ name: 'state', mountPath: '/var/lib/state-of-app' }],
        },
      ],
      containers: [
        {
          ...shell(report),
          command: ['sh', '-c', '$(SCRIPT)'],
          args: [],
          env: [
            { name: 'USER_NAME', valueFrom: { secretKeyRef: { name: 'credentials', key: 'user' } } },
            { name: 'CONF', valueFrom: { configMapKeyRef: { name: 'settings', key: 'none', optional: true } } },
            { name: 'WHERE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
            { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
            { name: 'ARGS', value: '$(WHERE)-$$(WHERE)' },
            { name: 'SCRIPT', value: report.replaceAll('$(', '$$(') },
          ],
          volumeMounts: [
            { name: 'state', mountPath: '/var/lib/state-of-app' },
            { name: 'credentials', mountPath: '/run/secrets/app', readOnly: true },
            { name: 'settings', mountPath: '/etc/new/place' },
          ],
        },
      ],
      volumes: [
        { name: 'state', hostPath: { path: '/var/lib/state-of-app', type: 'DirectoryOrCreate' } },
        { name: 'credentials', secret: { secretName: 'credentials' } },
        { name: 'settings', configMap: { name: 'settings' } },
      ],
    });
    const pod = await bed.podThat('rich', 'is over', (one) => /Succeeded|Failed/.test(one.status?.phase ?? ''));
    const lines = bed.log(first, 'rich', 'main').split('\n');
    expect(lines[0]).toBe(`rich ann  default ${pod.status?.podIP} default-$(WHERE)`);
    expect(lines[1]).toBe('annx=1');
    expect(lines[2]).toBe('before');
    expect(lines.slice(3)).toContain('secrets');
    expect(lines.slice(3)).not.toContain('netns');
    expect(lines.join('\n')).toMatch(/Read-only file system/);
    expect(readFileSync(path.join(bed.nodeDir('east-1'), 'var/lib/state-of-app/kept'), 'utf8')).toBe('keep\n');
    expect([existsSync('/var/lib/state-of-app'), existsSync('/etc/new'), existsSync('/run/secrets/app')]).toEqual([
      false,
      false,
      false,
    ]);
    // touch fails last.
    expect(pod.status?.phase).toBe('Failed');
    expect(pod.status?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(1);
    expect(pod.status?.initContainerStatuses?.[0]?.state?.terminated?.reason).toBe('Completed');
  });

  test('starts again with growing pauses while its program fails', async () => {
    await bed.createPod('crash', first, { containers: [shell('echo started; exit 3')] });
    const pod = await bed.podThat(
      'crash',
      'has restarted',
      (one) => (one.status?.containerStatuses?.[0]?.restartCount ?? 0) >= 3,
    );
    const status = pod.status?.containerStatuses?.[0];
    expect(status?.lastState?.terminated).toMatchObject({ exitCode: 3, reason: 'Error' });
    expect(pod.status?.phase).toBe('Running');
    await bed.podThat(
      'crash',
      'waits',
      (one) => one.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CrashLoopBackOff',
    );
    expect(bed.log(first, 'crash', 'main').match(/started/g)?.length).toBeGreaterThanOrEqual(3);
    await bed.client.delete(RESOURCES.pods, 'crash', { namespace: 'default' });
    await bed.gone('crash');
  });

  test('that cannot start says why, and starts once it can', async () => {
    await bed.createPod('waiting', first, {
      containers: [{ ...idle.containers[0], volumeMounts: [{ name: 'late', mountPath: '/run/late' }] }],
      volumes: [{ name: 'late', secret: { secretName: 'late' } }],
    });
    await bed.createPod('unknown', first, { containers: [{ name: 'main', image: 'nowhere/none:2' }] });
    const says =
      (reason: string, message: RegExp) =>
      (pod: Pod): boolean => {
        const waiting = pod.status?.containerStatuses?.[0]?.state?.waiting;
        return waiting?.reason === reason && message.test(waiting.message ?? '');
      };
    await bed.podThat('waiting', 'names the secret', says('ContainerCreating', /secret "late" not found/));
    await bed.podThat('unknown', 'names the image', says('ErrImagePull', /nowhere\/none:2.*echo, shell/));
    await bed.client.create(RESOURCES.secrets, { metadata: { name: 'late', namespace: 'default' } } as never);
    await bed.readyPod('waiting');
  });

  test('is ready when its probe says so, and is started anew when its liveness probe fails', async () => {
    await bed.createPod('probed', first, {
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          ...shell(IDLE),
          readinessProbe: { exec: { command: ['test', '-e', '/run/good'] }, periodSeconds: 1, failureThreshold: 1 },
          livenessProbe: { exec: { command: ['test', '!', '-e', '/run/dead'] }, periodSeconds: 1, failureThreshold: 1 },
        },
      ],
    });
    const running = await bed.podThat('probed', 'runs', (pod) => pod.status?.phase === 'Running');
    expect(isReady(running)).toBe(false);
    await bed.exec('probed', 'touch', '/run/good');
    await bed.readyPod('probed');
    await bed.exec('probed', 'touch', '/run/dead');
    await bed.podThat('probed', 'has restarted', (pod) => pod.status?.containerStatuses?.[0]?.restartCount === 1);
  });

  test('that does not listen to SIGTERM is killed after its grace period, with all it has started', async () => {
    await bed.createPod('stubborn', first, {
      terminationGracePeriodSeconds: 1,
      containers: [shell('trap "" TERM; setsid -f sleep 1000; echo deaf; while :; do sleep 0.1; done')],
    });
    await bed.readyPod('stubborn');
    await until('it no longer listens', () => bed.log(first, 'stubborn', 'main').includes('deaf'));
    const namespaces = () =>
      namespacesOf(bed.plan.name).filter((name) => isPodNamespaceOf(bed.plan.name, 'east-1', name));
    const before = namespaces();
    const startedMs = performance.now();
    await bed.client.delete(RESOURCES.pods, 'stubborn', { namespace: 'default' });
    await bed.gone('stubborn');
    expect(performance.now() - startedMs).toBeGreaterThan(900);
    const lost = before.filter((name) => !namespaces().includes(name));
    expect(lost).toHaveLength(1);
    expect(processesIn(lost)).toEqual([]);
    expect(execFileSync('ip', ['-n', first.namespace, 'link'], { encoding: 'utf8' })).not.toContain(
      lost[0]!.split('.').at(-1)!,
    );
  });

  test('in the network of its node has the node’s address, and what it has detached lives on', async () => {
    await bed.createPod('host', first, {
      hostNetwork: true,
      terminationGracePeriodSeconds: 1,
      containers: [shell(`hostname; sleep 2001 & setsid -f sleep 2002; ${IDLE}`)],
    });
    const pod = await bed.readyPod('host');
    expect(pod.status?.podIP).toBe(first.address);
    await until('it has said its name', () => bed.log(first, 'host', 'main') === 'east-1\n');
    await until(
      'all it starts runs',
      () => commandsIn(first.namespace).filter((line) => /^sleep 200[12]$/.test(line)).length >= 2,
    );
    await bed.client.delete(RESOURCES.pods, 'host', { namespace: 'default' });
    await bed.gone('host');
    const left = commandsIn(first.namespace);
    expect(left.filter((line) => line === 'sleep 2001')).toEqual([]);
    expect(left.filter((line) => line === 'sleep 2002')).toHaveLength(1);
  });
});

describe('when the agent is gone', () => {
  test('pods run on; the next agent takes them over, and removes those that were deleted meanwhile', async () => {
    await bed.createPod('deleted', second, idle);
    await bed.createPod('done', second, { restartPolicy: 'Never', containers: [shell('true')] });
    await bed.podThat('done', 'is over', (pod) => pod.status?.phase === 'Succeeded');
    await Promise.all([bed.readyPod('deleted'), bed.readyPod('client')]);
    const [kept, lost] = [bed.processOf(second, 'client')!, bed.processOf(second, 'deleted')!];
    signalProcess(bed.agents.get('east-2')!, 'SIGKILL');
    await until('the agent has ended', () => !isAlive(bed.agents.get('east-2')!));
    await bed.client.request('DELETE', '/api/v1/namespaces/default/pods/deleted', {
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      gracePeriodSeconds: 0,
    });
    expect([isAlive(kept), isAlive(lost)]).toEqual([true, true]);
    await bed.startAgent(second);
    await until('the deleted pod has ended', () => !isAlive(lost));
    await bed.createPod('after', second, idle);
    const after = await bed.readyPod('after');
    expect(after.status?.podIP).not.toBe(clientIp);
    const client = await bed.readyPod('client');
    expect(bed.processOf(second, 'client')).toEqual(kept);
    expect(client.status?.containerStatuses?.[0]?.restartCount).toBe(0);
    expect(answer(await bed.exec('client', ...CURL, `http://${serverIp}:8080/`)).clientIP).toBe(clientIp);
    for (const name of ['after', 'done']) {
      await bed.client.delete(RESOURCES.pods, name, { namespace: 'default' });
      await bed.gone(name);
    }
  });

  test('a node without power starts its pods anew when it comes back', async () => {
    const before = bed.processOf(second, 'client')!;
    writeFileSync(path.join(bed.nodeDir('east-2'), 'kept'), 'on disk');
    await killNode(tools, bed.plan, second);
    expect(isAlive(before)).toBe(false);
    expect(() => bed.execOnNode(second, 'true')).toThrow('no power');
    await reviveNode(tools, bed.plan, second);
    await bed.startAgent(second);
    const pod = await bed.podThat(
      'client',
      'has restarted',
      (one) => isReady(one) && one.status?.containerStatuses?.[0]?.restartCount === 1,
    );
    const reached = await bed.exec('client', ...CURL, `http://${serverIp}:8080/`);
    expect(answer(reached).clientIP).toBe(pod.status?.podIP);
  });
});
