//! `cygnet up` and `cygnet down`: the tunnel of a site.

use super::console::Console;
use super::status::{address, subnets};
use super::{Global, Outcome, block_on};
use crate::control::model::SiteStatus;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The site, as in [site.NAME].
    site: String,
    /// Only this child of the site, as in [[site.NAME.child]].
    child: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct DownArgs {
    /// The site, as in [site.NAME].
    site: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Waits until the tunnel is up or the attempt has failed; the reason of a failure is the error.
pub(super) fn run(args: &Args, global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    let site = block_on(global.client().up(&args.site, args.child.as_deref()))??;
    if args.json {
        console.json(&site)?;
    } else {
        console.line(sentence(&site))?;
    }
    Ok(if site.carries() { Outcome::Done } else { Outcome::Failed })
}

pub(super) fn run_down(args: &DownArgs, global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    let site = block_on(global.client().down(&args.site))??;
    if args.json {
        console.json(&site)?;
    } else {
        console
            .line(format!("{} is down until `cygnet up {}`; its peer is not let in meanwhile", site.name, site.name))?;
    }
    Ok(Outcome::Done)
}

fn sentence(site: &SiteStatus) -> String {
    if !site.carries() {
        let why = site.last_error.as_deref().unwrap_or("no reason is known");
        return format!("{} is not up: {why}", site.name);
    }
    let children: Vec<_> = site.children.iter().filter(|child| child.up).collect();
    let networks: Vec<String> = children.iter().map(|child| subnets(child)).collect();
    let cipher = children.first().map(|child| child.cipher.as_str()).filter(|cipher| !cipher.is_empty());
    let cipher = cipher.map(|cipher| format!(", {cipher}")).unwrap_or_default();
    format!("{} is up with {}{cipher}: {}", site.name, address(site), networks.join(", "))
}
