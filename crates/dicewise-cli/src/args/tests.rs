use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Args, clap::Error> {
    Args::try_parse_from(line.split_whitespace())
}

#[test]
fn the_definitions_fit_together() {
    Args::command().debug_assert();
}

#[test]
fn every_example_of_the_help_is_accepted() {
    let mut examples = 0;
    for command in Args::command().get_subcommands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines: Vec<&str> =
            help.lines().map(str::trim).filter(|line| line.starts_with("dicewise ")).collect();
        assert!(!lines.is_empty(), "{} has no example", command.get_name());
        for line in lines {
            parse(line).unwrap_or_else(|error| panic!("{line}\n{error}"));
            examples += 1;
        }
    }
    assert!(examples >= 10);
}

#[test]
fn scientific_choices_have_no_default() {
    let start = "dicewise train DATA --out model --iterations 9 --batch-size 2";
    assert!(parse(start).is_err());
    assert!(parse(&format!("{start} --partition BI")).is_err());
    assert!(parse(&format!("{start} --epsilon 1e-7")).is_err());
    assert!(parse(&format!("{start} --setting I --partition BI --epsilon 1e-7")).is_err());
    assert!(parse(&format!("{start} --partition BI --epsilon 1e-7")).is_ok());
    assert!(parse(&format!("{start} --setting I --epochs 3")).is_err());
    assert!(parse("dicewise explain").is_err());
}

#[test]
fn seeds_and_triples_are_lists_with_commas() {
    let Ok(Args { command: Command::Run(run), .. }) = parse("dicewise run x.toml --seed 0,1 --seed 5") else {
        panic!("not accepted")
    };
    assert_eq!((run.seeds, run.jobs, run.devices.names), (vec![0, 1, 5], 1, vec![DeviceName::Cpu]));
    assert_eq!("1.5625,1.5625,2.5".parse(), Ok(Spacing([1.5625, 1.5625, 2.5])));
    assert_eq!("32,48".parse::<Shape>(), Err("2 numbers instead of three, for x,y,z".to_owned()));
    assert!("32,0,32".parse::<Shape>().is_err() && "1,-1,1".parse::<Spacing>().is_err());
}

#[test]
fn devices_have_a_kind_and_a_number() {
    for (name, device) in [
        ("cpu", DeviceName::Cpu),
        ("gpu", DeviceName::Gpu(0)),
        ("gpu:3", DeviceName::Gpu(3)),
        ("cuda", DeviceName::Cuda(0)),
        ("cuda:1", DeviceName::Cuda(1)),
    ] {
        assert_eq!(name.parse(), Ok(device));
        assert_eq!(device.to_string().parse(), Ok(device));
    }
    for wrong in ["", "cpu:0", "gpu:", "gpu:-1", "gpu:x", "cuda:0:1", "tpu:0", "GPU"] {
        assert!(wrong.parse::<DeviceName>().is_err(), "{wrong}");
    }
}

#[test]
fn labels_merge_values() {
    assert_eq!("whole=1+2+4".parse(), Ok(Label { name: "whole".to_owned(), values: vec![1, 2, 4] }));
    for wrong in ["whole", "whole=", "=1", "whole=0", "whole=1+x", "whole=65536"] {
        assert!(wrong.parse::<Label>().is_err(), "{wrong}");
    }
}

#[test]
fn bad_values_exit_with_2_and_say_what_is_accepted() {
    for (line, accepted) in [
        ("dicewise run x.toml --device tpu:0", "accepted: cpu, gpu:0, cuda:0"),
        ("dicewise train d --device gpu:0,gpu:1", "DistributedDataParallel"),
        ("dicewise run x.toml --jobs 0", "a whole number of 1 or more"),
        ("dicewise check DATA --layout acdd", "a similar value exists: 'acdc'"),
        ("dicewise explain --partition BI --epsilon 0", "a number greater than 0, or `heuristic`"),
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(accepted), "{error}");
    }
}
