// Command go_watch is a client under test: a plain user of the public agent SDK, as the Go agents use it.
//
// It subscribes to one WatchTopic, catches up over HTTP whenever it connects, answers PINGs and refreshes its token (all
// three are the SDK's doing), connects again when a stream ends, and prints one JSON line an event it applied. Everything
// it has to know comes from the MOCKCENTRAL_* variables; flags overrule them.
//
//	go_watch [-address HOST:PORT] [-topic SELFLINK] [-expect N] [-retry 250ms] [-keepalive 10s] [-page-size 100] [-fetch]
//
// What differs between the SDK's versions is in sdk_*.go: one of them is built, by the tag that goes with the version in
// versions/*.mod (go.mod is the newest that can be had, and needs no tag).
//
// Exit code 0 on SIGTERM or SIGINT, or after -expect (MOCKCENTRAL_EXPECT_EVENTS) events; 1 when nothing can work; 2 on misuse.
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/Axway/agent-sdk/pkg/api"
	"github.com/Axway/agent-sdk/pkg/authz/oauth"
	"github.com/Axway/agent-sdk/pkg/config"
	"github.com/Axway/agent-sdk/pkg/harvester"
	"github.com/Axway/agent-sdk/pkg/util/log"
	"github.com/Axway/agent-sdk/pkg/watchmanager"
	"github.com/Axway/agent-sdk/pkg/watchmanager/proto"
)

// sdkVersion is what the build was told of the SDK it is made from.
var sdkVersion = "unknown"

type settings struct {
	address, httpURL, authURL, token, tenant, topic, caFile, clientID string
	expect, pageSize                                                  int
	fetch                                                             bool
	retry, keepalive, keepaliveTimeout                                time.Duration
}

// position is the sequence of the last event that was applied; the SDK reads it to know where to catch up from.
type position struct{ sequence atomic.Int64 }

func (p *position) GetSequence() int64         { return p.sequence.Load() }
func (p *position) SetSequence(sequence int64) { p.sequence.Store(sequence) }

func main() {
	s, err := readSettings()
	if err != nil {
		fmt.Fprintln(os.Stderr, "go_watch:", err)
		os.Exit(2)
	}
	// Standard output belongs to the JSON lines.
	log.Get().SetOutput(os.Stderr)
	log.Get().SetLevel(logrus.WarnLevel)

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := follow(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "go_watch:", err)
		os.Exit(1)
	}
}

// follow keeps one watch alive until ctx ends or enough events were applied.
func follow(ctx context.Context, s settings) error {
	tlsConfig, err := tlsConfigFor(s)
	if err != nil {
		return err
	}
	getToken, err := tokenGetter(s, tlsConfig)
	if err != nil {
		return err
	}
	at := &position{}
	history, err := newHarvester(s, at, getToken, tlsConfig)
	if err != nil {
		return err
	}
	ctx, enough := context.WithCancel(ctx)
	defer enough()

	// One channel for the life of the process: the harvester writes to it without looking at a context, so somebody has to
	// read it as long as any attempt is alive. 100 is what the agents use.
	events := make(chan *proto.Event, 100)
	go apply(events, at, s.expect, enough, fetcher(s, getToken, tlsConfig))

	// Where the first catch-up starts: behind what the topic has now. The SDK takes sequence 0 for "nothing to catch up on",
	// so a topic without events starts at 1, which is before all of them.
	for ctx.Err() == nil {
		newest, err := newestSequence(ctx, history, s.topic)
		if err == nil {
			at.SetSequence(max(newest, 1))
			break
		}
		fmt.Fprintln(os.Stderr, "go_watch: cannot read the newest event:", err)
		pause(ctx, s.retry)
	}
	for ctx.Err() == nil {
		err := watchOnce(ctx, s, at, history, getToken, tlsConfig, events)
		if ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "go_watch: the watch ended:", err)
			pause(ctx, s.retry)
		}
	}
	return nil
}

// watchOnce is one connection with one watch, as the agents do it: a new manager for every attempt.
func watchOnce(
	ctx context.Context, s settings, at *position, history harvester.Harvest,
	getToken watchmanager.TokenGetter, tlsConfig *tls.Config, events chan *proto.Event,
) error {
	host, port, err := splitAddress(s.address)
	if err != nil {
		return err
	}
	return watch(
		ctx,
		&watchmanager.Config{
			Host: host, Port: port, TenantID: s.tenant, TokenGetter: getToken,
			UserAgent: "GoWatch/1.0 (sdkVer:" + sdkVersion + "; env:; agent:; reactive:false; hostname:; runtimeId:)",
		},
		[]watchmanager.Option{
			watchmanager.WithTLSConfig(tlsConfig),
			watchmanager.WithKeepAlive(s.keepalive, s.keepaliveTimeout),
			watchmanager.WithHarvester(history, at),
			watchmanager.WithEventSyncError(func() { fmt.Fprintln(os.Stderr, "go_watch: catch-up failed") }),
		},
		s.topic, events,
	)
}

// connected prints what it is told; the SDK says nothing of it by itself.
func connected(is bool) { printLine(map[string]any{"type": "status", "connected": is}) }

// apply prints every event once. History and stream overlap after a catch-up; both are in order, so what is not newer than
// the last one has been seen.
func apply(events <-chan *proto.Event, at *position, expect int, enough func(), fetch func(*proto.Event) int) {
	applied := 0
	for event := range events {
		sequence := event.GetMetadata().GetSequenceID()
		if sequence <= at.GetSequence() {
			continue
		}
		line := map[string]any{"type": "applied", "sequence": sequence, "id": event.GetId(), "op": event.GetType().String()}
		if fetch != nil && event.GetType() != proto.Event_DELETED {
			line["fetched"] = fetch(event)
		}
		printLine(line)
		at.SetSequence(sequence)
		if applied++; applied == expect {
			enough()
		}
	}
}

// fetcher reads the resource an event is about, as the agents do, and tells the HTTP status; nil without -fetch.
func fetcher(s settings, getToken watchmanager.TokenGetter, tlsConfig *tls.Config) func(*proto.Event) int {
	if !s.fetch {
		return nil
	}
	client := api.NewClient(sdkTLS(tlsConfig), "", api.WithTimeout(10*time.Second))
	return func(event *proto.Event) int {
		token, err := getToken()
		if err != nil {
			return 0
		}
		response, err := client.Send(api.Request{
			Method: "GET", URL: s.httpURL + "/apis" + event.GetPayload().GetMetadata().GetSelfLink(),
			Headers: map[string]string{"Authorization": "Bearer " + token, "X-Axway-Tenant-Id": s.tenant},
		})
		if err != nil {
			return 0
		}
		return response.Code
	}
}

func printLine(fields map[string]any) {
	line, _ := json.Marshal(fields)
	// One write a line, unbuffered: nothing is lost when the process is killed.
	os.Stdout.Write(append(line, '\n'))
}

func pause(ctx context.Context, howLong time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(howLong):
	}
}

// tokenGetter uses the SDK's own key-pair client of the token endpoint, or the one token given when there is no endpoint.
func tokenGetter(s settings, tlsConfig *tls.Config) (watchmanager.TokenGetter, error) {
	if s.authURL == "" {
		return func() (string, error) { return s.token, nil }, nil
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	realm := s.authURL + "/realms/Broker"
	client, err := oauth.NewAuthClient(
		realm+"/protocol/openid-connect/token",
		api.NewClient(sdkTLS(tlsConfig), "", api.WithTimeout(10*time.Second)),
		oauth.WithKeyPairAuth(s.clientID, "", realm, key, publicPEM, "", oauth.SigningMethodRS256),
	)
	if err != nil {
		return nil, err
	}
	return client.GetToken, nil
}

func newHarvester(s settings, at *position, getToken watchmanager.TokenGetter, tlsConfig *tls.Config) (*harvester.Client, error) {
	base, err := url.Parse(s.httpURL)
	if err != nil {
		return nil, fmt.Errorf("the HTTP URL is none: %w", err)
	}
	host, port, err := splitAddress(base.Host)
	if err != nil {
		return nil, err
	}
	if tlsConfig == nil {
		tlsConfig = &tls.Config{}
	}
	return harvester.NewClient(&harvester.Config{
		Protocol: base.Scheme, Host: host, Port: port, TenantID: s.tenant, PageSize: s.pageSize,
		ClientTimeout: 10 * time.Second, SequenceProvider: at, TokenGetter: getToken, TLSCfg: tlsConfig,
	}), nil
}

// tlsConfigFor trusts the fake's own CA; without one the connection is plain. The SDK's HTTP client takes no CA, so the
// whole process is told, before it makes its first connection.
func tlsConfigFor(s settings) (*tls.Config, error) {
	if s.caFile == "" {
		return nil, nil
	}
	if _, err := os.Stat(s.caFile); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12}, os.Setenv("SSL_CERT_FILE", s.caFile)
}

func sdkTLS(tlsConfig *tls.Config) config.TLSConfig {
	converted := config.NewTLSConfig().(*config.TLSConfiguration)
	if tlsConfig != nil {
		converted.LoadFrom(tlsConfig)
	}
	return converted
}

func splitAddress(address string) (string, uint32, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("an address is HOST:PORT: %w", err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return host, uint32(port), err
}

func readSettings() (settings, error) {
	s := settings{caFile: os.Getenv("MOCKCENTRAL_CA_FILE"), clientID: "go-watch"}
	var context struct {
		ClientID string `json:"client_id"`
	}
	if json.Unmarshal([]byte(os.Getenv("MOCKCENTRAL_CONTEXT")), &context) == nil && context.ClientID != "" {
		s.clientID = context.ClientID
	}
	expect, _ := strconv.Atoi(os.Getenv("MOCKCENTRAL_EXPECT_EVENTS"))
	flag.StringVar(&s.address, "address", os.Getenv("MOCKCENTRAL_ADDRESS"), "HOST:PORT of the watch service")
	flag.StringVar(&s.httpURL, "http-url", os.Getenv("MOCKCENTRAL_HTTP_URL"), "URL of the HTTP APIs; default: the address")
	flag.StringVar(&s.authURL, "auth-url", os.Getenv("MOCKCENTRAL_AUTH_URL"), "URL of the token endpoint, without /realms")
	flag.StringVar(&s.token, "token", os.Getenv("MOCKCENTRAL_TOKEN"), "a JWT, for a service without token endpoint")
	flag.StringVar(&s.tenant, "tenant", os.Getenv("MOCKCENTRAL_TENANT"), "the organization's id")
	flag.StringVar(&s.topic, "topic", os.Getenv("MOCKCENTRAL_TOPIC"), "self link of the WatchTopic")
	flag.IntVar(&s.expect, "expect", expect, "exit after this many events; 0 = never")
	flag.BoolVar(&s.fetch, "fetch", false, "read the resource of each event that is no deletion")
	flag.IntVar(&s.pageSize, "page-size", 100, "events a page of the catch-up")
	flag.DurationVar(&s.retry, "retry", 250*time.Millisecond, "wait before the next attempt; the agents start at 5s")
	// The SDK's default is 50 s, and grpc-go goes no lower than 10 s.
	flag.DurationVar(&s.keepalive, "keepalive", 10*time.Second, "HTTP/2 PING interval")
	flag.DurationVar(&s.keepaliveTimeout, "keepalive-timeout", 5*time.Second, "longest wait for a PING ack")
	flag.Parse()
	if s.address == "" || s.tenant == "" || s.topic == "" || (s.token == "" && s.authURL == "") {
		return s, errors.New("needs an address, a tenant, a topic, and a token or the URL of a token endpoint")
	}
	if s.httpURL == "" {
		s.httpURL = "http://" + s.address
	}
	return s, nil
}
