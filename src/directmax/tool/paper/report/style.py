"""The look of the page."""

from __future__ import annotations

from directmax.tool.paper.report.palette import css

STYLE = (
    css()
    + """
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);
 font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:68rem;margin:0 auto;padding:2.5rem 1.5rem 5rem}
h1{font-size:1.9rem;line-height:1.2;letter-spacing:-.015em;margin:0 0 .4rem}
h2{font-size:1.3rem;line-height:1.3;letter-spacing:-.01em;margin:0 0 .6rem}
h3{font-size:1rem;margin:1.8rem 0 .5rem}
p{margin:.4rem 0 .8rem;max-width:46rem}
a{color:var(--blue);text-decoration:none}a:hover{text-decoration:underline}
section{border-top:1px solid var(--grid);margin-top:2.6rem;padding-top:2rem}
.lead{color:var(--soft)}.note,figcaption{color:var(--soft);font-size:.875rem;line-height:1.5}
figcaption{margin-top:.4rem;max-width:46rem}
.warning{border-left:3px solid var(--orange);padding:.45rem .9rem;margin:.6rem 0;max-width:46rem;
 background:color-mix(in srgb,var(--orange) 9%,var(--page))}
.status{display:flex;flex-wrap:wrap;gap:.5rem 2.2rem;margin:1.4rem 0}
.status dt{color:var(--soft);font-size:.8rem}
.status dd{margin:0;font-size:1.25rem;font-weight:600;font-variant-numeric:tabular-nums}
.status .bad dd{color:var(--vermillion)}.status .good dd{color:var(--green)}
nav{display:flex;flex-wrap:wrap;gap:.4rem;margin-top:1.4rem}
nav a{border:1px solid var(--grid);border-radius:99px;padding:.2rem .8rem;font-size:.875rem;
 color:var(--ink)}
nav a:hover{border-color:var(--blue);text-decoration:none}
.glance ul{list-style:none;margin:0;padding:0}
.glance li{display:grid;grid-template-columns:6.5rem 1fr;gap:.2rem 1rem;padding:.4rem 0;
 border-bottom:1px solid var(--grid)}
.glance li:last-child{border:0}
.wide{overflow-x:auto;margin:.4rem 0;width:fit-content;max-width:100%;
 background:linear-gradient(to right,var(--page) 60%,transparent) -1px 0,
 linear-gradient(to left,var(--page) 60%,transparent) calc(100% + 1px) 0,
 linear-gradient(to right,var(--shade),transparent) left,
 linear-gradient(to left,var(--shade),transparent) right;
 background-size:2.6rem 100%,2.6rem 100%,1rem 100%,1rem 100%;background-repeat:no-repeat;
 background-attachment:local,local,scroll,scroll}
.wide:focus-visible{outline:2px solid var(--blue);outline-offset:2px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.94rem;line-height:1.35}
thead th{white-space:normal;color:var(--soft);font-weight:500;font-size:.85rem;
 vertical-align:bottom; border-bottom:1.5px solid var(--soft)}
th,td{text-align:right;vertical-align:top;padding:.45rem 0 .45rem 1.3rem;
 border-bottom:1px solid var(--grid);white-space:nowrap}
tbody tr:last-child th,tbody tr:last-child td{border-bottom:0}
table:not(:has(thead)) tr:first-child>*{border-top:1.5px solid var(--soft)}
th:first-child{text-align:left;padding-left:0;padding-right:.4rem;position:sticky;left:0;
 background:var(--page)}
tbody th{font-weight:600}.word{text-align:left}
small{display:block;color:var(--soft);font-size:.8rem;font-weight:400}
small b{font-weight:600}.good{color:var(--green)}.bad{color:var(--vermillion)}
.none{color:var(--soft)}
figure{margin:1.2rem 0 0}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));
 gap:1.2rem 1.6rem}
.charts svg,.charts img{display:block;width:100%;max-width:34rem;height:auto}
.charts img{border-radius:3px}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.3rem 1.4rem;margin:.2rem 0 .9rem;
 padding:0;font-size:.9rem}
.legend li{display:flex;align-items:center;gap:.5rem}
details{margin:.8rem 0}summary{cursor:pointer;color:var(--blue);width:fit-content}
details ul{margin:.4rem 0;padding-left:1.2rem}
pre{overflow-x:auto;background:color-mix(in srgb,var(--soft) 10%,var(--page));border-radius:6px;
 padding:.8rem 1rem;font-size:.84rem;line-height:1.55}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace}
code{font-size:.9em}
ol{padding-left:2.2rem;max-width:46rem}ol li{margin:.35rem 0}
ol li::marker{color:var(--soft);font-variant-numeric:tabular-nums}
@media (max-width:40rem){
main{padding:1.4rem 1rem 3rem}h1{font-size:1.5rem}h2{font-size:1.2rem}
th,td{padding:.4rem 0 .4rem .9rem}table{font-size:.9rem}
tbody th,.word{white-space:normal}tbody th{min-width:5.5rem;max-width:8rem}.word{min-width:6rem}
small span,small b{display:block}
.glance li{grid-template-columns:1fr}.status{gap:.5rem 1.5rem}
}
@media print{details{display:block}nav{display:none}section{break-inside:auto}}
"""
)
