// "Validate this GPU": a table that grows while the cases run, and the report.
import { append, byId, fill, inWorker, save, tell } from './dom.js';

const scientific = number => (number === 0 ? '0' : number.toExponential(1));

const verdict = ({ failures }) =>
    failures.length > 0 ? { text: failures.join('; '), className: 'bad' } : { text: 'passed', className: 'good' };

const cells = row => [
    row.variant,
    row.family,
    String(row.cases),
    scientific(row.worstLoss),
    scientific(row.worstGrad),
    verdict(row),
];

/** A report as a text that people read. */
export function markdown({ date, userAgent, adapter, ...report }) {
    const table = (head, rows) =>
        [head, head.map(() => '---'), ...rows].map(row => `| ${row.map(cell => String(cell).replaceAll('|', '\\|')).join(' | ')} |`);
    const { info, limits, features } = adapter;
    return [
        `# ctc-wgpu ${report.version} in the browser: ${report.passed ? 'all cases pass' : 'cases fail'}`,
        '',
        `${date}, ${userAgent}`,
        '',
        `Allowed: ${report.tolerance.loss} of a loss, ${report.tolerance.grad} in a gradient.`,
        '',
        ...table(
            ['Variant', 'Cases', 'Count', 'Loss error', 'Gradient error', 'Verdict'],
            report.rows.map(row => cells(row).map(cell => cell.text ?? cell)),
        ),
        '',
        ...table(['Adapter', ''], [...Object.entries(info), ...Object.entries(limits), ['features', features.join(', ')]]),
        '',
    ].join('\n');
}

export function startValidation(adapter) {
    let report;
    let running;
    const buttons = isRunning => {
        byId('validate').disabled = isRunning;
        byId('validate-cancel').disabled = !isRunning;
        byId('save-json').disabled = byId('save-markdown').disabled = isRunning || !report;
    };

    async function run() {
        report = undefined;
        buttons(true);
        fill('validate-table', []);
        byId('validate-progress').value = 0;
        tell('validate-status', 'The kernels are being compiled…');
        running = inWorker({ task: 'validate', full: byId('full').checked }, ({ row, done, total }) => {
            append('validate-table', cells(row));
            byId('validate-progress').value = done / total;
            tell('validate-status', `${done} of ${total}`);
        });
        try {
            const result = await running.result;
            report = { date: new Date().toISOString(), userAgent: navigator.userAgent, adapter, ...result };
            const count = result.rows.reduce((sum, row) => sum + row.cases, 0);
            const failed = result.rows.filter(row => row.failures.length > 0).length;
            tell('validate-status', failed === 0 ? `All ${count} cases pass.` : `${failed} rows of ${result.rows.length} have failures.`);
        } catch (error) {
            tell('validate-status', `Stopped: ${error.message}`);
        }
        buttons(false);
    }

    if (!adapter) {
        tell('validate-status', 'This needs WebGPU.');
        return;
    }
    buttons(false);
    byId('validate').onclick = run;
    byId('validate-cancel').onclick = () => running.stop();
    byId('save-json').onclick = () => save('ctc-wgpu-report.json', 'application/json', JSON.stringify(report, null, 1));
    byId('save-markdown').onclick = () => save('ctc-wgpu-report.md', 'text/markdown', markdown(report));
}
