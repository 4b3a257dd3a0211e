// The section "Benchmark": times of several shapes on the GPU and on the CPU backend.
import { appendRow, byId, inWorker, replaceRows, setText } from './dom.js';

/** Formats a number with three significant digits. */
const figures = number => {
    if (number === undefined) return '–';
    return number.toPrecision(3).replace(/\.?0+$/, zeros => (zeros.startsWith('.') ? '' : zeros));
};

function cells({ shape, ms }) {
    const [frames, items] = shape;
    const nsPerFrame = time => (time === undefined ? undefined : (time * 1e6) / (frames * items));
    const gpu = [figures(ms.gpu), figures(nsPerFrame(ms.gpu))];
    const cpu = [figures(ms.cpu), figures(nsPerFrame(ms.cpu))];
    return [shape.join(', '), ...gpu, ...cpu];
}

export function startBenchmark(adapter) {
    let running;
    const buttons = isRunning => {
        byId('bench').disabled = isRunning;
        byId('bench-cancel').disabled = !isRunning;
    };

    async function run() {
        buttons(true);
        replaceRows('bench-table', []);
        byId('bench-progress').value = 0;
        setText('bench-status', 'Running…');
        running = inWorker({ task: 'benchmark', gpu: adapter !== null }, message => {
            appendRow('bench-table', cells(message));
            byId('bench-progress').value = message.done / message.total;
            setText('bench-status', `${message.done} of ${message.total}`);
        });
        try {
            await running.result;
            setText('bench-status', 'Done.');
        } catch (error) {
            setText('bench-status', `Stopped: ${error.message}`);
        }
        buttons(false);
    }

    buttons(false);
    byId('bench').onclick = run;
    byId('bench-cancel').onclick = () => running.stop();
}
