// Helpers for the document, used by every part of the page.

export const byId = id => document.getElementById(id);

export function setText(id, text) {
    byId(id).textContent = text;
}

/** Returns a row; a cell is a string or { text, className }. */
function tableRow(cells, headings) {
    const row = document.createElement('tr');
    cells.forEach((cell, column) => {
        const { text, className = '' } = typeof cell === 'string' ? { text: cell } : cell;
        // The first column contains the headers of the rows.
        const element = document.createElement(column === 0 ? 'th' : 'td');
        if (column === 0) element.scope = 'row';
        element.className = `${headings[column].className} ${className}`.trim();
        element.textContent = text;
        row.append(element);
    });
    return row;
}

/** Replaces the rows of a table. */
export function replaceRows(id, rows) {
    const table = byId(id);
    const headings = table.tHead.rows[0].cells;
    table.tBodies[0].replaceChildren(...rows.map(cells => tableRow(cells, headings)));
}

/** Adds a row to a table. */
export function appendRow(id, cells) {
    const table = byId(id);
    table.tBodies[0].append(tableRow(cells, table.tHead.rows[0].cells));
}

/** Downloads a file with this text. */
export function save(name, type, text) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    // A browser may read the URL a moment after the click.
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/**
 * Runs a task in a worker. `onMessage` receives the progress messages; the promise `result`
 * resolves to the result. `stop()` cancels the task.
 */
export function inWorker(task, onMessage) {
    const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
    let stop;
    const result = new Promise((resolve, reject) => {
        stop = () => reject(new Error('cancelled'));
        worker.onmessage = ({ data }) => {
            if (data.error !== undefined) reject(new Error(data.error));
            else if (data.result !== undefined) resolve(data.result);
            else onMessage(data);
        };
        worker.onerror = event => reject(new Error(event.message || 'the worker did not start'));
        worker.postMessage(task);
    }).finally(() => worker.terminate());
    return { result, stop };
}
