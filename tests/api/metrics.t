#!/usr/bin/python3
"""Metrics that agents publish, read by stock CloudWatch clients."""

import datetime
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import Berth, tap
from stock_agent import StockAgent

NAMES = ("CPUUtilization", "MemoryUtilization")


def span(minutes=30):
    now = datetime.datetime.now(datetime.timezone.utc)
    return dict(StartTime=now - datetime.timedelta(minutes=minutes),
                EndTime=now + datetime.timedelta(minutes=2))


def dims(**names):
    return [{"Name": k, "Value": v} for k, v in names.items()]


def near(a, b):
    return abs(a - b) <= 1e-6 * max(abs(a), abs(b), 1)


def publish(berth, ecs):
    """A service of two tasks on a simulated agent, which publishes 0.0493 % CPU, 4 MiB for each."""
    ecs.create_cluster()
    agent = StockAgent(berth, "1.70.0", cluster="default").start()
    agent.wait(lambda: agent.acs)
    ecs.register_task_definition(family="web", containerDefinitions=[
        {"name": "web", "image": "busybox", "memory": 64, "cpu": 128}])
    ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=2)
    berth.wait_for(lambda: ecs.describe_services(services=["web"])["services"][0]["runningCount"] == 2)
    return agent


def statistics(berth, ecs, cw, agent):
    def ask(name, **names):
        return cw.get_metric_statistics(
            Namespace="AWS/ECS", MetricName=name, Dimensions=dims(**names), Period=60,
            Statistics=["Average", "Minimum", "Maximum", "Sum", "SampleCount"], **span())["Datapoints"]

    service = dict(ClusterName="default", ServiceName="web")
    got = berth.wait_for(lambda: [p for p in ask("MemoryUtilization", **service)
                                  if p["SampleCount"] == 2], 20, 0.3)
    tap.ok(got, "a service's memory is told")
    got = got or [{"Average": 0, "Minimum": 0, "Maximum": 0, "Sum": 0, "Unit": ""}]
    tap.ok(near(got[-1]["Average"], 100 * 4 / 64) and near(got[-1]["Minimum"], 100 * 3 / 64)
           and near(got[-1]["Maximum"], 100 * 5 / 64) and near(got[-1]["Sum"], 2 * 100 * 4 / 64)
           and got[-1]["Unit"] == "Percent", "percent of what its tasks hold, over its tasks", got)
    units = int(berth.sql("SELECT cpu FROM container_instances")[0][0])
    mib = int(berth.sql("SELECT memory_mib FROM container_instances")[0][0])
    cpu = ask("CPUUtilization", **service)
    share = 0.5423 / 11 / 100 * units / 128 * 100
    tap.ok(cpu and near(cpu[-1]["Average"], share), "percent of the CPU units its tasks hold",
           (cpu, share))
    cluster = ask("MemoryUtilization", ClusterName="default")
    tap.ok(any(near(p["Maximum"], 2 * 5 * 100 / mib) for p in cluster),
           "a cluster: percent of what its instances have", (cluster, mib))
    tap.is_(ask("MemoryUtilization", ClusterName="default", ServiceName="none"), [], "none: no points")
    tap.is_(ask("Other", **service), [], "a metric nobody measures has no points")
    cli = berth.aws("cloudwatch", "get-metric-statistics", "--namespace", "AWS/ECS", "--metric-name",
                    "MemoryUtilization", "--dimensions", "Name=ClusterName,Value=default",
                    "Name=ServiceName,Value=web", "--start-time",
                    span()["StartTime"].isoformat(), "--end-time", span()["EndTime"].isoformat(),
                    "--period", "3600", "--statistics", "Average")
    tap.ok(cli["Label"] == "MemoryUtilization" and cli["Datapoints"]
           and near(cli["Datapoints"][0]["Average"], 6.25), "by the CLI, an hour as one", cli)
    task = agent_tasks(agent)[0]
    used = cw.get_metric_statistics(
        Namespace="ECS/ContainerInsights", MetricName="MemoryUtilized", Period=60,
        Dimensions=dims(ClusterName="default", TaskId=task), Statistics=["Average"], **span())
    tap.ok(used["Datapoints"] and near(used["Datapoints"][0]["Average"], 4)
           and used["Datapoints"][0]["Unit"] == "Megabytes", "what one task uses", used)


def agent_tasks(agent):
    return [arn.rsplit("/", 1)[1] for arn in agent.tasks]


def data(berth, cw):
    def query(ident, name, stat="Average"):
        return {"Id": ident, "MetricStat": {"Stat": stat, "Period": 60, "Metric": {
            "Namespace": "AWS/ECS", "MetricName": name,
            "Dimensions": dims(ClusterName="default", ServiceName="web")}}}

    got = cw.get_metric_data(MetricDataQueries=[query("a", NAMES[1]), query("b", NAMES[0], "Maximum"),
                                                query("c", "Other")], **span())
    rows = {r["Id"]: r for r in got["MetricDataResults"]}
    tap.ok(rows["a"]["Values"] and near(rows["a"]["Values"][0], 6.25) and rows["b"]["Values"]
           and rows["c"]["Values"] == [], "several queries in one call", got)
    tap.is_([r["StatusCode"] for r in got["MetricDataResults"]], ["Complete"] * 3, "complete")
    berth.sql("INSERT INTO metric_samples SELECT cluster_id, ci_id, task_key, service_id, container,"
              " minute - interval '5 minutes', cpu_count, cpu_sum, cpu_min, cpu_max, memory_count,"
              " memory_sum, memory_min, memory_max FROM metric_samples WHERE task_key > 0")
    down = cw.get_metric_data(MetricDataQueries=[query("a", NAMES[1])], **span())
    times = down["MetricDataResults"][0]["Timestamps"]
    up = cw.get_metric_data(MetricDataQueries=[query("a", NAMES[1])], ScanBy="TimestampAscending",
                            **span())["MetricDataResults"][0]["Timestamps"]
    tap.ok(len(times) >= 2 and times == sorted(times, reverse=True) and up == times[::-1],
           "newest first unless asked otherwise", times)
    fixed = span()
    fixed["EndTime"] -= datetime.timedelta(minutes=5)  # nothing is added there any more
    up = cw.get_metric_data(MetricDataQueries=[query("a", NAMES[1])], ScanBy="TimestampAscending",
                            **fixed)["MetricDataResults"][0]["Timestamps"]
    tap.ok(up, "points of the past")
    pages = list(cw.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[query("a", NAMES[1]), query("c", "Other"), query("b", NAMES[0])],
        ScanBy="TimestampAscending", PaginationConfig={"PageSize": 1}, **fixed))
    whole = {"a": [], "b": [], "c": []}
    for page in pages:
        for r in page["MetricDataResults"]:
            whole[r["Id"]] += r["Timestamps"]
    tap.is_([sum(len(r["Values"]) for r in p["MetricDataResults"]) for p in pages], [1] * len(pages),
            "MaxDatapoints 1: a page has one point")
    tap.is_((whole["a"], whole["c"], len(whole["b"])), (up, [], len(up)), "all pages together have all of them")
    tap.is_([[r["StatusCode"] for r in p["MetricDataResults"] if r["Id"] == "a"] for p in pages[:len(up)]],
            [["PartialData"]] * (len(up) - 1) + [["Complete"]], "a series that goes on says so")
    tap.raises("InvalidNextToken", lambda: cw.get_metric_data(
        MetricDataQueries=[query("a", NAMES[1])], NextToken="x", **span()), "a token that is none", 400)
    listed = berth.aws("cloudwatch", "list-metrics", "--namespace", "AWS/ECS", "--metric-name",
                       "CPUUtilization")["Metrics"]
    tap.is_([[d["Value"] for d in m["Dimensions"]] for m in listed], [["default"], ["default", "web"]],
            "listed")
    tap.is_(len(cw.list_metrics(Dimensions=[{"Name": "ServiceName"}])["Metrics"]), 4,
            "those of services")


def top(berth):
    out = berth.verb("top", "--json")
    rows = json.loads(out.stdout or "[]")
    tap.is_([r["kind"] for r in rows], ["instance", "service", "task", "task"],
            "berth top shows instances, services and tasks")
    tap.ok(rows and near(rows[1].get("memoryMiB", 0), 8) and near(rows[1]["memoryPercent"], 6.25)
           and near(rows[2]["memoryMiB"], 4) and rows[0]["cpuPercent"] > 0, "and what they use",
           (rows, out.stderr))


def refusals(berth, cw):
    base = dict(Namespace="AWS/ECS", MetricName="CPUUtilization", Statistics=["Average"])
    tap.raises("InvalidParameterValue", lambda: cw.get_metric_statistics(
        **base, Period=61, **span()), "a period of 61 s", 400)
    tap.raises("InvalidParameterCombination", lambda: cw.get_metric_statistics(
        **base, Period=60, **span(3000)), "too many points", 400, "exceeds the limit of 1440")
    tap.raises("InvalidParameterCombination", lambda: cw.get_metric_statistics(
        Namespace="AWS/ECS", MetricName="CPUUtilization", Period=60, **span()), "no statistic", 400)


with Berth(role="all") as berth:
    ecs, cw = berth.client("ecs"), berth.client("cloudwatch")
    berth.sql("INSERT INTO zones (zone_name, zone_id) VALUES ('home-1a', 'a') ON CONFLICT DO NOTHING")
    agent = publish(berth, ecs)
    statistics(berth, ecs, cw, agent)
    data(berth, cw)
    refusals(berth, cw)
    top(berth)
    agent.kill()
tap.done()
