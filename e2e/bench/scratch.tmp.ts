import { startSystem } from '../start-system.ts';
import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
const R='/tmp/rel2';
const system = await startSystem({ port: 18799, dataDir: '/tmp/idle-data', fresh: true, programs: { coordinator: R+'/coordinator/bin/dc-coordinator', agent: R+'/agent/bin/dc-agent' } });
const rss=(pid:number)=>readFileSync(`/proc/${pid}/status`,'utf8').match(/(VmRSS|RssAnon|RssFile).*/g)!.join(' ').replace(/\s+/g,' ');
try {
await new Promise(r=>setTimeout(r,2000));
await system.agent.stop();
for (const spec of process.argv.slice(2)) {
  const [rel, ...flags] = spec.split(' ');
  const child = spawn(process.execPath, [...flags, rel+'/agent/bin/dc-agent','run','--config','/tmp/idle-data/agent/dc-agent.toml'], {stdio:['ignore','ignore','inherit']});
  await new Promise(r=>setTimeout(r,20000));
  console.log(spec, rss(child.pid!));
  child.kill('SIGTERM'); await new Promise(r=>child.once('exit',r));
}
} finally { await system.coordinator.stop(); }
