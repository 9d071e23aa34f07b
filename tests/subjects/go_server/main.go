// Command go_server is a small watch service on grpc-go and the published proto, with its history on a port of its own:
// a second opinion on what a server is, for clients that were built against the fake.
//
// Standard output has one JSON line for all that happens, the first of which says where it is. Standard input has one
// JSON command a line:
//
//	{"do": "publish", "count": 3}         events, to the log and to whoever watches
//	{"do": "ping"}                        a PING event on each stream
//	{"do": "drop", "code": 14}            every stream ends with this status
//	{"do": "purge"}                       the log forgets all it has
//	{"do": "goaway"}                      grpc-go's GracefulStop; a new server takes over the address
//
// Tokens are read, not verified: a stream ends when the last one it has seen does.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Axway/agent-sdk/pkg/watchmanager/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	topic  = "/management/v1/watchtopics/sample-watch-topic"
	tenant = "1234567890"
	first  = 100001
)

// service is the log and who watches it.
type service struct {
	proto.UnimplementedWatchServer
	mu      sync.Mutex
	events  []*proto.Event
	purged  int64
	next    int64
	streams map[int]*stream
	opened  int
	out     sync.Mutex
}

type stream struct {
	number int
	send   chan *proto.Event
	end    chan error
}

func main() {
	all := &service{next: first, streams: map[int]*stream{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	history, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	server := all.serve(listener)
	go func() { must(http.Serve(history, all)) }()
	all.say("ready", map[string]any{"address": listener.Addr().String(), "history": history.Addr().String()})
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		var command struct {
			Do    string `json:"do"`
			Count int    `json:"count"`
			Code  uint32 `json:"code"`
		}
		must(json.Unmarshal(commands.Bytes(), &command))
		switch command.Do {
		case "publish":
			for range command.Count {
				all.publish()
			}
			all.say("published", map[string]any{"newest": all.newest()})
		case "ping":
			all.each(func(one *stream) {
				one.send <- &proto.Event{Id: fmt.Sprintf("ping-%d", one.number), Type: proto.Event_PING}
			})
		case "drop":
			all.each(func(one *stream) {
				select {
				case one.end <- status.Error(codes.Code(command.Code), "dropped by the test"):
				default: // it is ending already
				}
			})
		case "purge":
			all.mu.Lock()
			all.events, all.purged = nil, all.next-1
			all.mu.Unlock()
			all.say("purged", map[string]any{"through": all.newest()})
		case "goaway":
			// Its listener is closed at once, its streams live on until they end: whoever comes meets the next server.
			old, address := server, listener.Addr().String()
			go old.GracefulStop()
			for {
				if listener, err = net.Listen("tcp", address); err == nil {
					break
				}
			}
			server = all.serve(listener)
			all.say("took over", nil)
		default:
			must(fmt.Errorf("no command %q", command.Do))
		}
	}
}

func (s *service) serve(listener net.Listener) *grpc.Server {
	server := grpc.NewServer(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}))
	proto.RegisterWatchServer(server, s)
	go func() { must(server.Serve(listener)) }()
	return server
}

// Subscribe is the stream of one client: first who it is, then its topic, then events.
func (s *service) Subscribe(call grpc.BidiStreamingServer[proto.Request, proto.Event]) error {
	headers, _ := metadata.FromIncomingContext(call.Context())
	if strings.Join(headers.Get("x-axway-tenant-id"), "") != tenant {
		return status.Error(codes.PermissionDenied, "another tenant")
	}
	if _, err := expiry(strings.Join(headers.Get("authorization"), "")); err != nil {
		return status.Error(codes.Unauthenticated, err.Error())
	}
	request, err := call.Recv()
	if err != nil {
		return err
	}
	expires, err := expiry(request.GetToken())
	if err != nil {
		return status.Error(codes.Unauthenticated, err.Error())
	}
	if request.GetSelfLink() != topic {
		return status.Errorf(codes.NotFound, "no topic %q", request.GetSelfLink())
	}
	one := s.enter()
	defer s.leave(one)
	s.say("subscribed", map[string]any{
		"stream": one.number, "typed": request.RequestType != nil, "capabilities": request.GetCapabilities(),
		"agent": strings.Join(headers.Get("user-agent"), ""),
	})
	requests := make(chan *proto.Request)
	ended := make(chan error, 1)
	go read(call, requests, ended)
	timer := time.NewTimer(time.Until(expires))
	defer timer.Stop()
	for {
		select {
		case event := <-one.send:
			if err := call.Send(event); err != nil {
				return err
			}
		case request := <-requests:
			if request.RequestType != nil && request.GetRequestType() == proto.RequestType_PING_RESPONSE {
				s.say("pong", map[string]any{"stream": one.number, "id": request.GetPingResponse().GetId()})
				continue
			}
			if expires, err = expiry(request.GetToken()); err != nil {
				return status.Error(codes.Unauthenticated, err.Error())
			}
			timer.Reset(time.Until(expires))
			s.say("refreshed", map[string]any{"stream": one.number, "same_topic": request.GetSelfLink() == topic})
		case <-timer.C:
			return status.Error(codes.Unauthenticated, "the token of this stream has expired")
		case err := <-one.end:
			return err
		case err := <-ended:
			return err
		}
	}
}

func read(call grpc.BidiStreamingServer[proto.Request, proto.Event], requests chan<- *proto.Request, ended chan<- error) {
	for {
		request, err := call.Recv()
		if err != nil {
			ended <- err
			return
		}
		select {
		case requests <- request:
		case <-call.Context().Done():
			return
		}
	}
}

func (s *service) enter() *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	one := &stream{s.opened, make(chan *proto.Event, 10000), make(chan error, 1)}
	s.streams[one.number] = one
	return one
}

func (s *service) leave(one *stream) {
	s.mu.Lock()
	delete(s.streams, one.number)
	s.mu.Unlock()
	s.say("left", map[string]any{"stream": one.number})
}

func (s *service) each(do func(*stream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.streams {
		do(one)
	}
}

func (s *service) newest() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next - 1
}

func (s *service) publish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprintf("svc-%d", s.next)
	event := &proto.Event{
		Id: "id-" + name, Time: time.Now().UTC().Format("2006-01-02 15:04:05.000000"), Version: "v1", Product: "AmplifyCentral",
		CorrelationId: "id-" + name, Organization: &proto.Organization{Id: tenant}, Type: proto.Event_CREATED,
		Payload: &proto.ResourceInstance{
			Group: "management", Kind: "APIService", Name: name, Attributes: map[string]string{"from": "go"},
			Metadata: &proto.Metadata{
				Id: "res-" + name, SelfLink: "/management/v1/environments/sample-env/apiservices/" + name,
				Scope: &proto.Metadata_ScopeKind{Id: "env", Kind: "Environment", Name: "sample-env", SelfLink: "/management/v1/environments/sample-env"},
			},
		},
		Metadata: &proto.EventMeta{WatchTopicID: "topic", WatchTopicSelfLink: topic, SequenceID: s.next},
	}
	s.next++
	s.events = append(s.events, event)
	for _, one := range s.streams {
		one.send <- event
	}
}

// ServeHTTP is the history: GET /events{selfLink}?page&pageSize&query=sequenceID>N&sort=sequenceID,ASC|DESC.
func (s *service) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	asked := request.URL.Query()
	after, err := strconv.ParseInt(strings.TrimPrefix(asked.Get("query"), "sequenceID>"), 10, 64)
	page, size := number(asked.Get("page"), 1), number(asked.Get("pageSize"), 100)
	_, refused := expiry(request.Header.Get("Authorization"))
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := s.next - 1
	switch {
	case refused != nil:
		http.Error(writer, refused.Error(), http.StatusUnauthorized)
	case request.URL.Path != "/events"+topic:
		// As Central says it (protocol 6.0): a 404 in other words may be any web server's.
		writer.Header().Set("Content-Type", "application/json")
		writer.WriteHeader(http.StatusNotFound)
		writer.Write([]byte(`{"errors":[{"status":404,"title":"Not Found","detail":"no such topic"}]}`))
	case err == nil && after < s.purged:
		writer.Header().Set("X-Axway-Max-Sequence-Id", strconv.FormatInt(newest, 10))
		http.Error(writer, "gone", http.StatusGone)
	default:
		found := []*proto.Event{}
		for _, event := range s.events {
			if event.GetMetadata().GetSequenceID() > after {
				found = append(found, event)
			}
		}
		if strings.HasSuffix(asked.Get("sort"), ",DESC") {
			for left, right := 0, len(found)-1; left < right; left, right = left+1, right-1 {
				found[left], found[right] = found[right], found[left]
			}
		}
		from := min((page-1)*size, len(found))
		shown := []any{}
		for _, event := range found[from:min(from+size, len(found))] {
			shown = append(shown, inHistory(event))
		}
		writer.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(writer).Encode(shown)
		s.say("asked", map[string]any{"query": asked.Get("query"), "answered": len(shown)})
	}
}

// inHistory is an event as the history shows it: the generated structs with their proto names, but for the type.
func inHistory(event *proto.Event) map[string]any {
	return map[string]any{
		"id": event.GetId(), "time": event.GetTime(), "version": event.GetVersion(), "product": event.GetProduct(),
		"correlationId": event.GetCorrelationId(), "organization": event.GetOrganization(), "type": "ResourceCreated",
		"payload": map[string]any{
			"group": event.GetPayload().GetGroup(), "kind": event.GetPayload().GetKind(), "name": event.GetPayload().GetName(),
			"metadata": event.GetPayload().GetMetadata(), "attributes": event.GetPayload().GetAttributes(),
			"finalizers": nil, "tags": []string{},
		},
		"metadata": event.GetMetadata(),
	}
}

// expiry is when "Bearer <jwt>" ends. Nobody looks at its signature.
func expiry(bearer string) (time.Time, error) {
	parts := strings.Split(strings.TrimPrefix(bearer, "Bearer "), ".")
	if len(parts) != 3 || !strings.HasPrefix(bearer, "Bearer ") {
		return time.Time{}, fmt.Errorf("not a bearer token")
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	expires := time.UnixMilli(int64(claims.Exp * 1000))
	if err == nil && time.Until(expires) <= 0 {
		err = context.DeadlineExceeded
	}
	return expires, err
}

func number(text string, otherwise int) int {
	if value, err := strconv.Atoi(text); err == nil && value > 0 {
		return value
	}
	return otherwise
}

func (s *service) say(what string, fields map[string]any) {
	line := map[string]any{"say": what}
	for name, value := range fields {
		line[name] = value
	}
	text, _ := json.Marshal(line)
	s.out.Lock()
	defer s.out.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

func must(err error) {
	if err != nil && err != grpc.ErrServerStopped {
		fmt.Fprintln(os.Stderr, "go_server:", err)
		os.Exit(1)
	}
}
